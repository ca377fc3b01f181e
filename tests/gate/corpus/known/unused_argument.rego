# embedded: what is not used is refused in the strict check of OPA alone; the decision is the same
package swiftdeploy.trial

f(x, y) := x

decision := f(1, 2)
