# embedded: what is not used is refused by OPA's strict mode alone
package swiftdeploy.trial

f(x, y) := x

decision := f(1, 2)
