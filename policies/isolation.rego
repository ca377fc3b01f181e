# Is what would be deployed shut off as it should be?
# input.specs says how each component would run, in the terms of the Compose specification; input.beyond lists what
# would be applied and no Spec says; input.nginx is what nginx would listen to; input.home is the absolute path of
# the project's state folder. The limits are data.limits.isolation.
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
	"passed": within(found.observed, asked(rule)),
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

# policy.isolation.allow_root is for the app: nginx and OPA never need it.
asked(rule) if {
	rule == "non_root"
	count(own_parts) > count([name | some name in own_parts; non_root(name)])
} else := limits[rule]

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

# ---- components

specs := input.specs if is_object(input.specs)

runs_opa if specs.opa

composed if {
	input.engine == "docker"
	specs.nginx
	count(apps) > 0
	count([spec | some spec in specs; not is_object(spec)]) == 0
}

names := object.keys(specs)

own_parts := [name | some name in names; name in ["nginx", "opa"]] if composed

apps := [name | some name in names; not name in ["nginx", "opa"]]

component_rules := {
	"cap_drop_all": "all capabilities dropped",
	"memory_limit": "mem_limit set",
	"no_added_capabilities": "no capability added",
	"no_docker_socket": "no mount that holds a socket of the engine",
	"no_new_privileges": "no-new-privileges, and nothing unconfined",
	"no_privileged": "not privileged, and no device of the host",
	"no_shared_namespaces": "no namespace of the host or of another container",
	"non_root": "user is a number other than 0",
	"own_mounts": "read-only binds from below home, volumes and networks with a plain name",
	"pids_limit": "pids_limit set",
	"read_only": "root filesystem of nginx and OPA read-only",
}

finding[rule] := {"observed": count(breaking) == 0, "message": concat(": ", [where(breaking), text])} if {
	composed
	some rule, text in component_rules
	keeping := kept[rule]
	breaking := [name | some name in names; not name in keeping]
}

where(breaking) := "in every component" if count(breaking) == 0

where(breaking) := concat(" ", ["not in", concat(", ", sort(breaking))]) if count(breaking) > 0

# The components that keep each rule. The embedded engine has no `some name, spec in specs` inside a comprehension.
kept["cap_drop_all"] := [name | some name in names; "ALL" in specs[name].cap_drop]

kept["memory_limit"] := [name | some name in names; amount(specs[name].mem_limit)]

kept["no_added_capabilities"] := [name | some name in names; object.get(specs[name], "cap_add", []) == []]

kept["no_docker_socket"] := [name | some name in names; no_docker_socket(specs[name])]

kept["no_new_privileges"] := [name | some name in names; no_new_privileges(specs[name])]

kept["no_privileged"] := [name |
	some name in names
	spec := specs[name]
	object.get(spec, "privileged", false) == false
	object.get(spec, "devices", []) == []
]

kept["no_shared_namespaces"] := [name | some name in names; no_shared_namespaces(specs[name])]

kept["non_root"] := [name | some name in names; non_root(name)]

non_root(name) if regex.match(`^[1-9][0-9]*(:[0-9]+)?$`, user_text(specs[name].user))

# The image is not pulled yet. Once it is, the question has its user as a number.
non_root(name) if {
	name in apps
	specs[name].user == "image"
}

kept["own_mounts"] := [name | some name in names; own_mounts(name, specs[name]); own_networks(specs[name])] if at_home

kept["pids_limit"] := [name | some name in names; amount(specs[name].pids_limit)]

kept["read_only"] := [name | some name in names; read_only(name)]

read_only(name) if specs[name].read_only == true

# services.read_only may be false: what the app writes there is removed with its slot.
read_only(name) if name in apps

no_docker_socket(spec) if {
	mounts := object.get(spec, "volumes", [])
	is_array(mounts)
	count([mount | some mount in mounts; not harmless_mount(mount)]) == 0
}

no_new_privileges(spec) if {
	is_array(spec.security_opt)
	count(spec.security_opt) > 0
	allowed := ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"]
	count([option | some option in spec.security_opt; not option in allowed]) == 0
}

no_shared_namespaces(spec) if {
	keys := ["cgroup", "ipc", "network_mode", "pid", "userns_mode", "uts"]
	count([key | some key in keys; object.get(spec, key, null) != null]) == 0
	joined := networks(spec)
	not "host" in joined
}

user_text(user) := user if is_string(user)

user_text(user) := json.marshal(user) if is_number(user)

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

# ---- what may be said at all

finding["known_keys"] := {"observed": strange, "message": beyond_specs(strange)} if {
	composed
	is_array(input.beyond)
	count([text | some text in input.beyond; not is_string(text)]) == 0
	known := limits.known_keys
	beyond := [text | some text in input.beyond; not text in known]
	keys := [concat(".", [name, key]) |
		some name in names
		some key in object.keys(specs[name])
		listed := concat(".", ["*", key])
		not listed in known
	]
	strange := sort(array.concat(array.concat(beyond, keys), array.concat(joining_options, mounted_secrets)))
}

# A network that is joined with options: they can set what the keys may not.
joining_options := [concat(".", [name, "networks", network, option]) |
	some name in names
	spec := specs[name]
	is_object(spec.networks)
	some network in object.keys(spec.networks)
	is_object(spec.networks[network])
	some option in object.keys(spec.networks[network])
]

# A Spec refers to a secret by name; compose's own list of secrets mounts files.
mounted_secrets := [concat(".", [name, "secrets"]) |
	some name in names
	references := object.get(specs[name], "secrets", {})
	not is_object(references)
]

beyond_specs(strange) := "nothing beyond what a Spec may say" if count(strange) == 0

beyond_specs(strange) := concat(": ", ["beyond what a Spec may say", concat(", ", strange)]) if count(strange) > 0

# ---- what is mounted and joined

at_home if {
	is_string(input.home)
	regex.match(`^/.*[^/]$`, input.home)
}

own_mounts(name, spec) if {
	mounts := object.get(spec, "volumes", [])
	is_array(mounts)
	count([mount | some mount in mounts; not own_mount(name, mount)]) == 0
}

own_mount(_, mount) if {
	plain_mount(mount)
	mount.type == "volume"
	plain_name(mount.source)
}

own_mount(_, mount) if {
	plain_mount(mount)
	mount.type == "bind"
	mount.read_only == true
	below_home(mount.source)
}

# nginx alone has a writable bind: the folder in which it counts the requests of a watched change.
own_mount("nginx", mount) if {
	plain_mount(mount)
	mount.type == "bind"
	mount.source == concat("/", [input.home, "counts"])
}

plain_mount(mount) if {
	is_object(mount)
	object.keys(mount) - {"read_only", "source", "target", "type"} == set()
}

below_home(source) if {
	is_string(source)
	prefix := concat("", [input.home, "/"])
	startswith(source, prefix)
	regex.match(`^[\w-][\w.-]*(/[\w-][\w.-]*)*$`, trim_prefix(source, prefix))
}

own_networks(spec) if {
	joined := networks(spec)
	count([network | some network in joined; not plain_name(network)]) == 0
}

plain_name(name) if {
	is_string(name)
	regex.match(`^[\w.-]+$`, name)
}

# Not defined for a component that names no network: it would join a default one.
networks(spec) := sort(spec.networks) if texts(spec.networks)

networks(spec) := sort([network | some network in object.keys(spec.networks)]) if {
	is_object(spec.networks)
	count(spec.networks) > 0
}

# ---- ports

finding["app_published_ports"] := {"observed": count(published), "message": message} if {
	composed
	count([name | some name in apps; is_array(ports(specs[name]))]) == count(apps)
	published := [name | some name in apps; some _ in ports(specs[name])]
	message := concat(" ", [json.marshal(count(published)), "published by", concat(", ", sort(apps))])
}

finding["operator_bind"] := bind("nginx, its public port apart,", addresses) if {
	composed
	listening
	well_formed(specs.nginx)
	public := listen_ports("public")
	reserved := [port | some port in specs.nginx.ports; target := port.target; not target in public]
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
	well_formed(specs.opa)
	addresses := [object.get(port, "host_ip", "*") | some port in specs.opa.ports]
	count(addresses) > 0
}

ports(spec) := object.get(spec, "ports", [])

well_formed(spec) if {
	is_array(spec.ports)
	sound_ports := [port | some port in spec.ports; is_number(port.target); is_string(object.get(port, "host_ip", "*"))]
	count(sound_ports) == count(spec.ports)
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
	message := concat(" ", ["the operator port is open to", concat(", ", array.concat(sources, none_of(sources)))])
}

is_address(source) if {
	is_string(source)
	regex.match(`^[0-9a-fA-F.:]+$`, source)
}

# Before the first deploy there is no network yet, and so no gateway that could ask.
none_of(sources) := ["no address"] if count(sources) == 0

none_of(sources) := [] if count(sources) > 0

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
		some name in names
		count([network | some network in networks(specs[name]); network in opa_networks]) > 0
	])
	message := concat(" ", ["OPA's network is joined by", concat(", ", members)])
}

opa_networks := networks(specs.opa)

networked if {
	composed
	count([spec | some spec in specs; not networks(spec)]) == 0
}

# ---- what must be in the input for a rule to be judged

specs_wanted := "input.engine must be docker or local, and input.specs a mapping with nginx and an app"

networks_wanted := "networks of each component in input.specs must be a list of names or a mapping, and not empty"

wanted := object.union(
	{rule: specs_wanted | some rule in object.keys(component_rules)},
	{
		"app_published_ports": "ports of each app in input.specs must be a list",
		"known_keys": "input.specs must be a mapping with nginx and an app, and input.beyond a list of texts",
		"local_bind": "input.nginx.listen must list address, port and role (public or operator) of each listener",
		"opa_bind": "input.specs must publish OPA's port in the long form, with target and host_ip",
		"opa_network_members": networks_wanted,
		"opa_networks": networks_wanted,
		"operator_bind": "the operator port must be in input.nginx.listen, and published in the long form on docker",
		"operator_hosts": "input.nginx.operator_hosts must list the host names that it answers to",
		"operator_sources": "input.nginx.operator_allow must list single addresses",
		"own_mounts": "input.home must be an absolute path, and input.specs a mapping with nginx and an app",
	},
)
