package swiftdeploy.trial

import data.limits as l

decision := l.q
