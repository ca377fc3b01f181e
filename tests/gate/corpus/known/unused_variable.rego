# embedded: what is not used is refused by OPA's strict mode alone
package swiftdeploy.trial

decision := 1 if { x := 2 }
