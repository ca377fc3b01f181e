# embedded: a semicolon at the end of a body is taken
package swiftdeploy.trial

decision := 1 if { true; true; }
