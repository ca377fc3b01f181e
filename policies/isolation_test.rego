package swiftdeploy.isolation_test

import data.swiftdeploy.isolation

limits := {
	"app_published_ports": 0,
	"cap_drop_all": true,
	"known_keys": [
		"*.cap_drop",
		"*.mem_limit",
		"*.networks",
		"*.pids_limit",
		"*.ports",
		"*.read_only",
		"*.secrets",
		"*.security_opt",
		"*.user",
		"*.volumes",
	],
	"local_bind": "127.0.0.1",
	"memory_limit": true,
	"no_added_capabilities": true,
	"no_docker_socket": true,
	"no_new_privileges": true,
	"no_privileged": true,
	"no_shared_namespaces": true,
	"non_root": true,
	"opa_bind": "127.0.0.1",
	"opa_network_members": 1,
	"opa_networks": 1,
	"operator_bind": "127.0.0.1",
	"operator_hosts": ["127.0.0.1", "localhost"],
	"operator_sources": 1,
	"own_mounts": true,
	"pids_limit": true,
	"read_only": true,
}

hardened := {
	"user": "10001:10001",
	"read_only": true,
	"cap_drop": ["ALL"],
	"security_opt": ["no-new-privileges:true"],
	"pids_limit": 100,
	"mem_limit": "256m",
	"networks": ["app"],
}

specs := {
	"app-blue": hardened,
	"nginx": object.union(hardened, {"ports": [
		{"target": 8080, "published": "8080"},
		{"target": 8081, "published": "8081", "host_ip": "127.0.0.1"},
	]}),
	"opa": object.union(hardened, {
		"networks": ["opa"],
		"ports": [{"target": 8181, "published": "8181", "host_ip": "127.0.0.1"}],
	}),
}

stack := {
	"engine": "docker",
	"home": "/home/of/state",
	"specs": specs,
	"beyond": [],
	"nginx": {
		"listen": [
			{"address": "*", "port": 8080, "role": "public"},
			{"address": "*", "port": 8081, "role": "operator"},
		],
		"operator_hosts": ["127.0.0.1", "localhost"],
		"operator_allow": ["172.18.0.1"],
	},
}

local_stack(address) := {
	"engine": "local",
	"nginx": {
		"listen": [
			{"address": address, "port": 8080, "role": "public"},
			{"address": "127.0.0.1", "port": 8081, "role": "operator"},
		],
		"operator_hosts": ["localhost"],
	},
}

decide(document) := decision if {
	decision := isolation.decision with input as document with data.limits.isolation as limits
}

failed(document) := {check.rule | some check in decide(document).checks; not check.passed}

failed_with(name, change) := failed(object.union(stack, {"specs": {name: change}}))

test_a_sound_stack_passes if {
	decide(stack).allow
	failed(stack) == set()
}

test_each_component_must_be_hardened if {
	every name in ["app-blue", "nginx", "opa"] {
		failed_with(name, {"user": "0"}) == {"non_root"}
		failed_with(name, {"cap_drop": []}) == {"cap_drop_all"}
		failed_with(name, {"cap_add": ["CHOWN"]}) == {"known_keys", "no_added_capabilities"}
		failed_with(name, {"security_opt": []}) == {"no_new_privileges"}
		failed_with(name, {"privileged": true}) == {"known_keys", "no_privileged"}
		failed_with(name, {"pid": "host"}) == {"known_keys", "no_shared_namespaces"}
		failed_with(name, {"volumes": ["/var/run/docker.sock:/s"]}) == {"no_docker_socket", "own_mounts"}
		failed_with(name, {"pids_limit": 0}) == {"pids_limit"}
		failed_with(name, {"mem_limit": null}) == {"memory_limit"}
	}
}

test_only_the_app_may_have_a_writable_root_filesystem if {
	failed_with("nginx", {"read_only": false}) == {"read_only"}
	failed_with("opa", {"read_only": false}) == {"read_only"}
	failed_with("app-blue", {"read_only": false}) == set()
}

test_only_the_app_may_have_the_user_of_its_image if {
	failed_with("app-blue", {"user": "image"}) == set()
	failed_with("app-blue", {"user": "images"}) == {"non_root"}
	failed_with("nginx", {"user": "image"}) == {"non_root"}
}

test_root_is_allowed_for_the_app_alone if {
	every name in ["nginx", "opa"] {
		not allowed_as_root(name)
	}
	allowed_as_root("app-blue")
}

allowed_as_root(name) if {
	lenient := object.union(limits, {"non_root": false})
	asked := object.union(stack, {"specs": {name: {"user": "0:0"}}})
	decision := isolation.decision with input as asked with data.limits.isolation as lenient
	decision.allow
}

test_only_known_keys_may_be_said if {
	failed_with("app-blue", {"extends": {"file": "other.yml", "service": "x"}}) == {"known_keys"}
	failed_with("app-blue", {"secrets": {"TOKEN": "OTHER"}}) == set()
	failed_with("app-blue", {"secrets": ["other"]}) == {"known_keys"}
	failed_with("app-blue", {"networks": {"app": {"driver_opts": {}}}}) == {"known_keys"}
	failed_with("worker", hardened) == set()
}

test_nothing_beyond_the_specs_may_be_said if {
	every beyond in [["include"], ["app-blue.image"], [1], "include", null] {
		failed(object.union(stack, {"beyond": beyond})) == {"known_keys"}
	}
	failed(object.remove(stack, ["beyond"])) == {"known_keys"}
	listed := object.union(limits, {"known_keys": array.concat(limits.known_keys, ["include"])})
	decision := isolation.decision with input as object.union(stack, {"beyond": ["include"]})
		with data.limits.isolation as listed
	decision.allow
}

test_only_own_things_are_mounted_and_joined if {
	bind := {"type": "bind", "source": "/home/of/state/nginx", "target": "/n", "read_only": true}
	failed_with("nginx", {"volumes": [bind]}) == set()
	failed_with("nginx", {"volumes": [object.union(bind, {"source": "/etc"})]}) == {"own_mounts"}
	failed_with("nginx", {"volumes": [object.union(bind, {"read_only": false})]}) == {"own_mounts"}
	failed_with("app-blue", {"volumes": [{"type": "volume", "source": "logs", "target": "/v"}]}) == set()
	failed_with("app-blue", {"volumes": [{"type": "volume", "source": "/etc", "target": "/v"}]}) == {"own_mounts"}
	failed_with("app-blue", {"networks": ["${X:-opa}"]}) == {"own_mounts"}
}

test_nginx_alone_writes_the_counts if {
	counts := {"type": "bind", "source": "/home/of/state/counts", "target": "/c"}
	failed_with("nginx", {"volumes": [counts]}) == set()
	failed_with("app-blue", {"volumes": [counts]}) == {"own_mounts"}
}

test_the_app_publishes_nothing if {
	failed_with("app-blue", {"ports": [{"target": 3000, "host_ip": "127.0.0.1"}]}) == {"app_published_ports"}
}

test_operator_and_opa_ports_are_on_this_host_only if {
	everywhere := [{"target": 8080}, {"target": 8081}]
	failed_with("nginx", {"ports": everywhere}) == {"operator_bind"}
	failed_with("opa", {"ports": [{"target": 8181}]}) == {"opa_bind"}
	failed_with("opa", {"ports": ["127.0.0.1:8181:8181"]}) == {"opa_bind"}
}

test_nobody_shares_a_network_with_opa if {
	failed_with("app-blue", {"networks": ["app", "opa"]}) == {"opa_network_members"}
	failed_with("opa", {"networks": ["app", "opa"]}) == {"opa_network_members", "opa_networks"}
}

test_the_operator_port_is_for_one_source_and_known_hosts if {
	failed(object.union(stack, {"nginx": {"operator_allow": ["172.18.0.0/16"]}})) == {"operator_sources"}
	failed(object.union(stack, {"nginx": {"operator_hosts": ["example.org"]}})) == {"operator_hosts"}
}

test_containers_do_not_matter_on_local_but_addresses_do if {
	decide(local_stack("127.0.0.1")).allow
	failed(local_stack("*")) == {"local_bind"}
}

test_a_limit_of_false_asks_for_nothing if {
	writable := object.union(stack, {"specs": {"nginx": {"read_only": false}}})
	decision := isolation.decision with input as writable
		with data.limits.isolation as object.union(limits, {"read_only": false})
	decision.allow
}

test_an_empty_input_fails_every_rule if {
	decide({}).allow == false
	failed({}) == object.keys(limits)
}

test_unusable_limits_are_no_verdict if {
	decision := isolation.decision with input as stack
		with data.limits.isolation as object.union(limits, {"opa_networks": "1", "read_only": "yes"})
	decision == {"unusable_limits": ["opa_networks", "read_only"]}
}
