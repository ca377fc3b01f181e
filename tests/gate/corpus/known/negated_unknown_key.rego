# embedded: the keys of an object are not part of its type
package swiftdeploy.trial

decision := true if { o := {"a": 1}; not o.b == 1 }
