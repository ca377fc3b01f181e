# embedded: the types of members are not compared
package swiftdeploy.trial

decision := "a" in {"a": 1}
