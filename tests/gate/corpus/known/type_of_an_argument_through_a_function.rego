# embedded: types are not followed into functions
package swiftdeploy.trial

f(x) := concat(",", x)

decision := true if not f(1)
