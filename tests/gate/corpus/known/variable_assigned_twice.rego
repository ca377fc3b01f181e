# embedded: a second := of one variable is taken for a comparison
package swiftdeploy.trial

decision := 1 if { x := 1; x := 2; x }
