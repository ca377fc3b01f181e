package swiftdeploy.trial

import data.other.lib

decision := true if not lib.f(1)
