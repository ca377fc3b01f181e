package swiftdeploy.trial

import future.keywords.if

decision := 1 if true
