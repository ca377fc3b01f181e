# embedded: a body without `if` (Rego v0) is taken, with the meaning that it had
package swiftdeploy.trial

decision = 1 { true }
