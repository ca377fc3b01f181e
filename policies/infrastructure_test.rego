package swiftdeploy.infrastructure_test

import data.swiftdeploy.infrastructure

limits := {"max_load_per_core": 2.0, "max_memory_used_percent": 95, "min_disk_free_gb": 10}

host := {
	"disks": [{"path": "/srv", "free_gb": 50}, {"path": "/var/lib/docker", "free_gb": 12.3}],
	"load_per_core": 0.4,
	"load_minutes": 5,
	"memory_used_percent": 41.2,
}

decide(changes) := decision if {
	document := {"host": object.union(host, changes)}
	decision := infrastructure.decision with input as document with data.limits.infrastructure as limits
}

failed(decision) := {check.rule | some check in decision.checks; not check.passed}

test_a_sound_host_passes if {
	decision := decide({})
	decision.allow
	failed(decision) == set()
}

test_a_figure_at_its_limit_passes if {
	decide({"load_per_core": 2, "memory_used_percent": 95, "disks": [{"path": "/", "free_gb": 10}]}).allow
}

test_a_figure_beyond_its_limit_fails if {
	failed(decide({"load_per_core": 2.01})) == {"max_load_per_core"}
	failed(decide({"memory_used_percent": 95.1})) == {"max_memory_used_percent"}
	failed(decide({"disks": [{"path": "/", "free_gb": 9.9}]})) == {"min_disk_free_gb"}
}

test_the_tightest_disk_is_named if {
	some check in decide({"disks": [{"path": "/a", "free_gb": 12.3}, {"path": "/b", "free_gb": 3}]}).checks
	check.rule == "min_disk_free_gb"
	check.observed == 3
	contains(check.message, "/b")
}

test_ill_typed_figures_fail if {
	failed(decide({"load_per_core": true, "memory_used_percent": "1", "disks": []})) == object.keys(limits)
}

test_an_empty_input_fails_every_rule if {
	decision := infrastructure.decision with input as {} with data.limits.infrastructure as limits
	decision.allow == false
	failed(decision) == object.keys(limits)
}

test_unusable_limits_are_no_verdict if {
	decision := infrastructure.decision with input as {"host": host}
		with data.limits.infrastructure as object.union(limits, {"max_load_per_core": "2"})
	decision == {"unusable_limits": ["max_load_per_core"]}
}
