# embedded: what is not used is refused in the strict check of OPA alone; the decision is the same
package swiftdeploy.trial

decision := 1 if { x := 2 }
