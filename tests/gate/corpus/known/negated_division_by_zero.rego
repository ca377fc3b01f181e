# embedded: a builtin that fails, inside an expression under `not`, ends the body in OPA
package swiftdeploy.trial

decision := true if not 1/0 == 1
