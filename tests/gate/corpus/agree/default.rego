package swiftdeploy.trial

default decision := {"allow": false}

decision := {"allow": true} if input.x
