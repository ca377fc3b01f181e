package swiftdeploy.trial

import data.limits as input

decision := input
