# embedded: a set is listed with its numbers ordered as text
package swiftdeploy.trial

decision := [x | some x in {10, 9, 100, "a", null}]
