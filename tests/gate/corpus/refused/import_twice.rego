package swiftdeploy.trial

import data.foo
import data.foo

decision := 1
