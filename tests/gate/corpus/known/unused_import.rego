# embedded: what is not used is refused in the strict check of OPA alone; the decision is the same
package swiftdeploy.trial

import data.foo

decision := 1
