# embedded: what is not used is refused by OPA's strict mode alone
package swiftdeploy.trial

import data.foo

decision := 1
