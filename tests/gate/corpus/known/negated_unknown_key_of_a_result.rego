# embedded: the keys of an object are not part of its type
package swiftdeploy.trial

decision := true if { not g(1).b == 1 }
g(x) := {"a": x}
