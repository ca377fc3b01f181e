# embedded: types are followed through variables and rules, not through builtins
package swiftdeploy.trial

y := "a"

decision := true if not startswith(count(y), "a")
