# Is what would be deployed shut off as it should be?
# input.compose and input.nginx are what would be applied, input.home is the absolute path of the project's state
# folder; what to compare with is data.limits.isolation.
package swiftdeploy.isolation

# Each rule's limit is of this type. A figure must not exceed its limit, a text must equal it, a list must
# lie within it, and a limit of false asks for nothing.
limit_types := {
	"app_published_ports": "number",
	"cap_drop_all": "boolean",
	"known_keys": "array",
	"local_bind": "string",
	"memory_limit": "boolean",
	"no_added_capabilities": "boolean",
	"no_docker_socket": "boolean",
	"no_new_privileges": "boolean",
	"no_privileged": "boolean",
	"no_shared_namespaces": "boolean",
	"non_root": "boolean",
	"opa_bind": "string",
	"opa_network_members": "number",
	"opa_networks": "number",
	"operator_bind": "string",
	"operator_hosts": "array",
	"operator_sources": "number",
	"own_mounts": "boolean",
	"pids_limit": "boolean",
	"read_only": "boolean",
}

# Sorted as a list: the embedded engine does not order a set.
rules := sort([rule | some rule in object.keys(limit_types)])

limits := data.limits.isolation

unusable_limits := [rule | some rule in rules; not usable(rule)]

# Apart from `not`: a reference inside it is looked up before it, and a missing one would count as usable.
usable(rule) if type_name(limits[rule]) == limit_types[rule]

decision := {"unusable_limits": unusable_limits} if count(unusable_limits) > 0

# Every rule must be among those that passed: a check that went missing can never open the gate.
decision := {"allow": passing == rules, "checks": checks} if count(unusable_limits) == 0

passing := [check.rule | some check in checks; check.passed == true]

checks := [check(rule) | some rule in rules]

check(rule) := {
	"rule": rule,
	"passed": true,
	"observed": null,
	"limit": limits[rule],
	"message": concat(": ", [rule, reason]),
} if {
	reason := exempt[rule]
} else := {
	"rule": rule,
	"passed": within(found.observed, limits[rule]),
	"observed": found.observed,
	"limit": limits[rule],
	"message": concat(": ", [rule, found.message]),
} if {
	found := finding[rule]
} else := {
	"rule": rule,
	"passed": false,
	"observed": null,
	"limit": limits[rule],
	"message": concat("", [rule, ": not known, ", wanted[rule]]),
}

default within(_, _) := false

within(seen, limit) if {
	is_number(limit)
	is_number(seen)
	seen <= limit
}

within(seen, limit) if {
	is_string(limit)
	seen == limit
}

within(seen, limit) if {
	is_array(limit)
	is_array(seen)
	count([item | some item in seen; not item in limit]) == 0
}

within(true, true)

within(_, false)

# ---- what does not apply here

exempt[rule] := "does not apply on local" if {
	input.engine == "local"
	some rule in rules
	not rule in ["local_bind", "operator_bind", "operator_hosts"]
}

exempt["local_bind"] := "does not apply on docker" if input.engine == "docker"

exempt[rule] := "does not apply, no OPA is run" if {
	composed
	not runs_opa
	some rule in ["opa_bind", "opa_network_members", "opa_networks"]
}

# ---- containers

services := input.compose.services if is_object(input.compose.services)

runs_opa if services.opa

composed if {
	input.engine == "docker"
	services.nginx
	count(apps) > 0
	count([service | some service in services; not is_object(service)]) == 0
}

apps := [name | some name in object.keys(services); not name in ["nginx", "opa"]]

container_rules := {
	"cap_drop_all": "all capabilities dropped",
	"memory_limit": "mem_limit set",
	"no_added_capabilities": "no capability added",
	"no_docker_socket": "no mount that holds a socket of the engine",
	"no_new_privileges": "no-new-privileges, and nothing unconfined",
	"no_privileged": "not privileged, and no device of the host",
	"no_shared_namespaces": "no namespace of the host or of another container",
	"non_root": "user is a number other than 0",
	"pids_limit": "pids_limit set",
	"read_only": "root filesystem read-only",
}

finding[rule] := {"observed": count(names) == 0, "message": concat(": ", [where(names), text])} if {
	composed
	some rule, text in container_rules
	names := breaking[rule]
}

# A function for each rule: the embedded engine tries every clause of one, whatever its first argument.
breaking["cap_drop_all"] := [name | some name in object.keys(services); service := services[name]; not cap_drop_all(service)]

breaking["memory_limit"] := [name | some name in object.keys(services); service := services[name]; not memory_limit(service)]

breaking["no_added_capabilities"] := [name | some name in object.keys(services); service := services[name]; not no_added_capabilities(service)]

breaking["no_docker_socket"] := [name | some name in object.keys(services); service := services[name]; not no_docker_socket(service)]

breaking["no_new_privileges"] := [name | some name in object.keys(services); service := services[name]; not no_new_privileges(service)]

breaking["no_privileged"] := [name | some name in object.keys(services); service := services[name]; not no_privileged(service)]

breaking["no_shared_namespaces"] := [name | some name in object.keys(services); service := services[name]; not no_shared_namespaces(service)]

breaking["non_root"] := [name | some name in object.keys(services); service := services[name]; not non_root(service)]

breaking["pids_limit"] := [name | some name in object.keys(services); service := services[name]; not pids_limit(service)]

breaking["read_only"] := [name | some name in object.keys(services); service := services[name]; not read_only(service)]

where(breaking) := "in every service" if count(breaking) == 0

where(breaking) := concat(" ", ["not in", concat(", ", sort(breaking))]) if count(breaking) > 0

cap_drop_all(service) if "ALL" in service.cap_drop

memory_limit(service) if amount(service.mem_limit)

no_added_capabilities(service) if object.get(service, "cap_add", []) == []

no_docker_socket(service) if {
	mounts := object.get(service, "volumes", [])
	is_array(mounts)
	count([mount | some mount in mounts; not harmless_mount(mount)]) == 0
}

no_new_privileges(service) if {
	is_array(service.security_opt)
	count(service.security_opt) > 0
	allowed := ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"]
	count([option | some option in service.security_opt; not option in allowed]) == 0
}

no_privileged(service) if {
	object.get(service, "privileged", false) == false
	object.get(service, "devices", []) == []
}

no_shared_namespaces(service) if {
	keys := ["cgroup", "ipc", "network_mode", "pid", "userns_mode", "uts"]
	count([key | some key in keys; object.get(service, key, null) != null]) == 0
	joined := networks(service)
	not "host" in joined
}

non_root(service) if regex.match(`^[1-9][0-9]*(:[0-9]+)?$`, user_text(service.user))

user_text(user) := user if is_string(user)

user_text(user) := json.marshal(user) if is_number(user)

pids_limit(service) if amount(service.pids_limit)

read_only(service) if service.read_only == true

amount(figure) if {
	is_number(figure)
	figure > 0
}

amount(text) if {
	is_string(text)
	regex.match(`^[0-9]*[1-9][0-9]*([bkmgBKMG][bB]?)?$`, text)
}

harmless_mount(mount) if harmless(mount_source(mount))

mount_source(mount) := split(mount, ":")[0] if is_string(mount)

mount_source(mount) := object.get(mount, "source", "") if is_object(mount)

harmless("")

harmless(source) if {
	is_string(source)
	not endswith(source, ".sock")
	count([part | some part in ["..", "//", "/./", ".sock/"]; contains(source, part)]) == 0
	folder := trim_right(source, "/.")
	not folder in ["", "/run", "/var", "/var/run"]
}

# ---- what the file may say at all

finding["known_keys"] := {"observed": strange, "message": told(strange)} if {
	composed
	listed := known
	top := [key | beyond := object.keys(input.compose) - known; some key in beyond]
	names := [path | some name in object.keys(services); path := concat(".", ["services", name]); not path in listed]
	keys := [concat(".", [name, key]) |
		some name in object.keys(services)
		beyond := object.keys(services[name]) - known_of_any
		some key in beyond
	]
	strange := sort(array.concat(array.concat(top, names), array.concat(keys, joining_options)))
}

# A network that is joined with options: they can set what the keys may not.
joining_options := [concat(".", [name, "networks", network, option]) |
	some name in object.keys(services)
	joined := services[name].networks
	is_object(joined)
	some network in object.keys(joined)
	is_object(joined[network])
	some option in object.keys(joined[network])
]

known := {key | some key in limits.known_keys}

# "*.init" stands for the key init of any service.
known_of_any := {trim_prefix(key, "*.") | some key in known; startswith(key, "*.")}

told(keys) := "nothing unknown in the compose file" if count(keys) == 0

told(keys) := concat("", ["unknown in the compose file: ", concat(", ", keys)]) if count(keys) > 0

# ---- what is mounted and joined

finding["own_mounts"] := {"observed": count(strange) == 0, "message": message} if {
	composed
	at_home
	is_object(defined("networks"))
	is_object(defined("volumes"))
	using := [name | some name in object.keys(services); service := services[name]; not own_parts(name, service)]
	strange := array.concat(using, array.concat(made_here("networks"), made_here("volumes")))
	message := concat(": ", [where(strange), "read-only binds from below home, volumes and networks made beforehand"])
}

made_here(kind) := [concat(".", [kind, key]) |
	definitions := defined(kind)
	some key in object.keys(definitions)
	definition := definitions[key]
	not made_beforehand(key, definition)
]

defined(kind) := object.get(input.compose, kind, {})

at_home if {
	is_string(input.home)
	regex.match(`^/.*[^/]$`, input.home)
}

own_parts(name, service) if {
	own_mounts(name, service)
	networks_defined := object.keys(defined("networks"))
	count([key | some key in network_keys(service); not key in networks_defined]) == 0
}

own_mounts(name, service) if {
	mounts := object.get(service, "volumes", [])
	is_array(mounts)
	count([mount | some mount in mounts; not own_mount(mount); not counts_mount(name, mount)]) == 0
}

# nginx alone has a writable bind: the folder in which it counts the requests of a watched change.
counts_mount("nginx", mount) if {
	plain_mount(mount)
	mount.type == "bind"
	mount.source == concat("", [replace(input.home, "$", "$$"), "/counts"])
}

own_mount(mount) if {
	plain_mount(mount)
	mount.type == "bind"
	mount.read_only == true
	below_home(mount.source)
}

own_mount(mount) if {
	plain_mount(mount)
	mount.type == "volume"
	mount.source in object.keys(defined("volumes"))
}

plain_mount(mount) if {
	is_object(mount)
	object.keys(mount) - {"read_only", "source", "target", "type"} == set()
}

# A dollar of home's own is written twice in the file; any other would be filled in after this was asked.
below_home(source) if {
	is_string(source)
	prefix := concat("", [replace(input.home, "$", "$$"), "/"])
	startswith(source, prefix)
	regex.match(`^[\w-][\w.-]*(/[\w-][\w.-]*)*$`, trim_prefix(source, prefix))
}

made_beforehand(key, definition) if {
	is_object(definition)
	object.keys(definition) - {"external", "name"} == set()
	definition.external == true
	plain_name(key)
	plain_name(object.get(definition, "name", key))
}

plain_name(name) if {
	is_string(name)
	regex.match(`^[\w.-]+$`, name)
}

# ---- ports

finding["app_published_ports"] := {"observed": count(published), "message": message} if {
	composed
	count([name | some name in apps; is_array(ports(services[name]))]) == count(apps)
	published := [name | some name in apps; some _ in ports(services[name])]
	message := concat(" ", [json.marshal(count(published)), "published by", concat(", ", sort(apps))])
}

finding["operator_bind"] := bind("nginx, its public port apart,", addresses) if {
	composed
	listening
	well_formed(services.nginx)
	public := listen_ports("public")
	reserved := [port | some port in services.nginx.ports; target := port.target; not target in public]
	count([port | some port in reserved; port.target in listen_ports("operator")]) > 0
	addresses := [object.get(port, "host_ip", "*") | some port in reserved]
}

finding["operator_bind"] := bind("the operator port", addresses) if {
	input.engine == "local"
	listening
	addresses := [listen.address | some listen in input.nginx.listen; listen.role == "operator"]
	count(addresses) > 0
}

finding["local_bind"] := bind("nginx", addresses) if {
	input.engine == "local"
	listening
	addresses := [listen.address | some listen in input.nginx.listen]
}

finding["opa_bind"] := bind("OPA", addresses) if {
	composed
	well_formed(services.opa)
	addresses := [object.get(port, "host_ip", "*") | some port in services.opa.ports]
	count(addresses) > 0
}

ports(service) := object.get(service, "ports", [])

well_formed(service) if {
	is_array(service.ports)
	sound_ports := [port | some port in service.ports; is_number(port.target); is_string(object.get(port, "host_ip", "*"))]
	count(sound_ports) == count(service.ports)
}

listening if {
	is_array(input.nginx.listen)
	count(input.nginx.listen) > 0
	count([listen | some listen in input.nginx.listen; not sound_listen(listen)]) == 0
}

sound_listen(listen) if {
	is_string(listen.address)
	is_number(listen.port)
	listen.role in ["public", "operator"]
}

listen_ports(role) := [listen.port | some listen in input.nginx.listen; listen.role == role]

bind(who, addresses) := {"observed": seen, "message": concat(" ", [who, "is on", seen])} if {
	distinct := {address | some address in addresses}
	seen := concat(", ", sort([address | some address in distinct]))
}

# ---- who may use the operator port

finding["operator_hosts"] := {"observed": hosts, "message": message} if {
	input.engine in ["docker", "local"]
	texts(input.nginx.operator_hosts)
	hosts := sort(input.nginx.operator_hosts)
	message := concat(" ", ["the operator port answers to", concat(", ", hosts)])
}

finding["operator_sources"] := {"observed": count(sources), "message": message} if {
	input.engine == "docker"
	is_array(input.nginx.operator_allow)
	sources := sort(input.nginx.operator_allow)
	count([source | some source in sources; not is_address(source)]) == 0
	message := concat(" ", ["the operator port is open to", concat(", ", array.concat(sources, nobody(sources)))])
}

is_address(source) if {
	is_string(source)
	regex.match(`^[0-9a-fA-F.:]+$`, source)
}

# Before the first deploy there is no network yet, and so no gateway that could ask.
nobody(sources) := ["nobody"] if count(sources) == 0

nobody(sources) := [] if count(sources) > 0

texts(list) if {
	is_array(list)
	count(list) > 0
	count([item | some item in list; not is_string(item)]) == 0
}

# ---- OPA's network

finding["opa_networks"] := {"observed": count(opa_networks), "message": message} if {
	networked
	message := concat(" ", ["OPA joins", concat(", ", opa_networks)])
}

finding["opa_network_members"] := {"observed": count(members), "message": message} if {
	networked
	members := sort([name |
		some name in object.keys(services)
		count([network | some network in networks(services[name]); network in opa_networks]) > 0
	])
	message := concat(" ", ["OPA's network is joined by", concat(", ", members)])
}

opa_networks := networks(services.opa)

networked if {
	composed
	count([service | some service in services; not network_keys(service)]) == 0
}

# The names that the engine will see: two keys of the file can name one network.
networks(service) := sort([name | some key in network_keys(service); name := network_name(key)])

network_keys(service) := ["default"] if object.get(service, "networks", null) in [null, [], {}]

network_keys(service) := service.networks if texts(service.networks)

network_keys(service) := [key | some key in object.keys(service.networks)] if {
	is_object(service.networks)
	count(service.networks) > 0
}

network_name(key) := object.get(input.compose, ["networks", key, "name"], key)

# ---- what must be in the input for a rule to be judged

services_wanted := "input.engine must be docker or local, and input.compose.services a mapping with nginx and an app"

wanted := object.union(
	{rule: services_wanted | some rule in object.keys(container_rules)},
	{
		"app_published_ports": "each app's ports in input.compose must be a list",
		"known_keys": services_wanted,
		"local_bind": "input.nginx.listen must list address, port and role (public or operator) of each listener",
		"opa_bind": "input.compose must publish OPA's port in the long form, with target and host_ip",
		"opa_network_members": "each service's networks in input.compose must be a list of names or a mapping",
		"opa_networks": "each service's networks in input.compose must be a list of names or a mapping",
		"operator_bind": "the operator port must be in input.nginx.listen, and published in the long form on docker",
		"operator_hosts": "input.nginx.operator_hosts must list the host names that it answers to",
		"operator_sources": "input.nginx.operator_allow must list single addresses",
		"own_mounts": "input.home must be an absolute path, and services, networks and volumes in input.compose mappings",
	},
)
