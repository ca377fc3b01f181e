package swiftdeploy.canary_test

import data.swiftdeploy.canary

limits := {
	"evidence": 400,
	"max_client_error_rise": 0.3,
	"max_error_rate": 0.01,
	"max_error_ratio": 2,
	"max_p99_ms": 500,
	"max_slow_ratio": 2,
	"min_requests": 0,
	"window": 30,
}

seen := {"seconds": 30, "requests": 120, "rate": 4, "error_rate": 0, "p50_ms": 2, "p95_ms": 9, "p99_ms": 12.5}

counted := object.union(seen, {"client_error_rate": 0})

idle := {"seconds": 30, "requests": 0}

proven := {"e": 0.1, "proven_e": 40, "requests": 500, "bad": 0, "boundary_ms": null, "why": ""}

beside_stable := object.union(proven, {"stable_requests": 4500, "stable_bad": 0})

evidence := {
	"max_error_rate": proven,
	"max_error_ratio": beside_stable,
	"max_p99_ms": proven,
	"max_slow_ratio": beside_stable,
}

sound := {
	"operation": "promote",
	"phase": "before",
	"subject": "current",
	"current": {"mode": "canary", "version": "1.1.0"},
	"target": {"mode": "stable", "version": "1.1.0"},
	"metrics": "declared",
	"healthy": true,
	"window": seen,
	"clients": counted,
	"beside": counted,
	"unreadable": 0,
	"rollout": {"min_requests": 20},
	"evidence": evidence,
}

decide(changes) := decide_by(limits, changes)

decide_by(in_force, changes) := decision if {
	kept := object.remove(sound, object.keys(changes))
	document := object.union(kept, changes)
	decision := canary.decision with input as document with data.limits.canary as in_force
}

saw(changes) := {"window": object.union(seen, changes)}

failed(decision) := {check.rule | some check in decision.checks; not check.passed}

message(decision, rule) := text if {
	some check in decision.checks
	check.rule == rule
	text := check.message
}

every_rule := object.keys(limits) - {"evidence", "window"}

# A step is watched, with these changes of the evidence about one rule.
found(rule, changes) := {"phase": "watch", "evidence": object.union(evidence, {rule: object.union(evidence[rule], changes)})}

test_a_sound_window_passes_in_every_phase if {
	every phase in ["before", "watch", "step_end"] {
		decide({"phase": phase}).allow
	}
}

test_figures_at_their_limits_pass if {
	decide_by(object.union(limits, {"min_requests": 120}), saw({"error_rate": 0.01, "p99_ms": 500})).allow
}

test_figures_beyond_their_limits_fail if {
	failed(decide(saw({"error_rate": 0.0101}))) == {"max_error_rate"}
	failed(decide(saw({"p99_ms": 500.001}))) == {"max_p99_ms"}
	failed(decide_by(object.union(limits, {"min_requests": 121}), {})) == {"min_requests"}
}

test_every_message_tells_length_and_requests if {
	every rule in every_rule - {"max_error_ratio", "max_slow_ratio"} {
		contains(message(decide({}), rule), "120 requests over 30 s")
	}
}

test_idle_passes_and_says_that_nothing_was_seen if {
	decision := decide({"window": idle, "clients": null})
	decision.allow
	contains(message(decision, "max_error_rate"), "no request was counted")
	contains(message(decision, "max_p99_ms"), "no request was counted")
}

test_idle_fails_where_requests_are_asked_for if {
	asking := object.union(limits, {"min_requests": 1})
	failed(decide_by(asking, {"window": idle})) == {"min_requests"}
	failed(decide_by(asking, {"phase": "step_end", "window": idle})) == {"min_requests"}
	decide_by(asking, {"phase": "watch", "window": idle}).allow
}

test_the_figures_of_a_watched_step_are_no_evidence if {
	every phase in ["watch", "step_end"] {
		decide(object.union({"phase": phase}, saw({"error_rate": 1, "p99_ms": 9000}))).verdict == "pass"
		decide(object.union({"phase": phase}, clients_saw({"error_rate": 1, "p99_ms": 9000}))).verdict == "pass"
	}
}

test_a_rule_fails_from_enough_evidence if {
	every rule in object.keys(evidence) {
		failed(decide(found(rule, {"e": 400}))) == {rule}
		decide(found(rule, {"e": 400})).verdict == "fail"
		decide(found(rule, {"e": 399.9})).verdict == "pass"
		decide_by(object.union(limits, {"evidence": 1000}), found(rule, {"e": 999})).allow
	}
}

test_evidence_fails_a_release_whose_page_cannot_be_read if {
	unread := {"window": null, "unreadable": 1}
	failed(decide(object.union(unread, found("max_error_ratio", {"e": 400})))) == {"max_error_ratio"}
}

test_a_release_that_is_neither_refuted_nor_proven_is_undecided if {
	every rule in ["max_error_rate", "max_p99_ms"] {
		decision := decide(found(rule, {"proven_e": 19.9}))
		decision.allow
		decision.verdict == "undecided"
		decide(found(rule, {"proven_e": 20})).verdict == "pass"
	}
	every rule in ["max_error_ratio", "max_slow_ratio"] {
		decide(found(rule, {"proven_e": 1})).verdict == "pass"
	}
}

test_too_few_to_tell_is_said if {
	few := found("max_error_rate", {"proven_e": 1.3, "requests": 34})
	contains(message(decide(few), "max_error_rate"), "new 0 of 34 failed: too few to tell 0.01 from none")
}

test_without_requests_nothing_is_proven if {
	every phase in ["watch", "step_end"] {
		decision := decide({"phase": phase, "window": idle, "clients": idle})
		decision.verdict == "undecided"
		contains(message(decision, "max_p99_ms"), "no requests to the new release: undecided")
	}
	decide(found("max_error_rate", {"requests": 0})).verdict == "undecided"
}

test_a_stable_without_requests_is_not_compared if {
	decision := decide(found("max_error_ratio", {"requests": 0, "stable_requests": 0}))
	decision.verdict == "pass"
	contains(message(decision, "max_error_ratio"), "stable is not compared")
}

test_how_often_it_fails_beside_stable_is_said if {
	decision := decide(found("max_error_ratio", {"e": 2500.7, "bad": 10, "stable_bad": 9}))
	text := "new 10 of 500 failed, stable 9 of 4500: 10 times as often; this happens by chance at most once in 2500"
	contains(message(decision, "max_error_ratio"), text)
}

test_a_step_without_whole_evidence_fails if {
	every phase in ["watch", "step_end"] {
		every rule in object.keys(evidence) {
			decision := decide({"phase": phase, "evidence": object.remove(evidence, [rule])})
			failed(decision) == every_rule
			contains(message(decision, "min_requests"), "input.evidence")
		}
	}
	failed(decide(found("max_error_rate", {"bad": 501}))) == every_rule
	failed(decide(found("max_error_ratio", {"stable_bad": null}))) == every_rule
}

test_a_page_without_a_histogram_fails_at_the_end_of_a_step if {
	blind := saw({"p99_ms": null})
	failed(decide(object.union({"phase": "step_end"}, blind))) == {"max_p99_ms"}
	decide(object.union({"phase": "watch"}, blind)).allow
}

test_a_breach_before_a_change_counts_from_one_request if {
	failed(decide(saw({"requests": 1, "error_rate": 1}))) == {"max_error_rate"}
}

test_a_percentile_beyond_the_histogram_fails_under_any_limit if {
	decision := decide_by(
		object.union(limits, {"max_p99_ms": 3600000}),
		saw({"p99_ms": null, "beyond_ms": 10000}),
	)
	failed(decision) == {"max_p99_ms"}
	contains(message(decision, "max_p99_ms"), "above 10000 ms")
}

test_a_figure_that_is_missing_fails if {
	failed(decide({"window": {"seconds": 30, "requests": 5}})) == {"max_error_rate", "max_p99_ms"}
	failed(decide({"window": {"seconds": 30, "requests": 5, "error_rate": "0", "p99_ms": 1}})) == {"max_error_rate"}
	failed(decide({"window": {"seconds": 30, "requests": 5, "error_rate": 0, "p99_ms": true}})) == {"max_p99_ms"}
}

test_metrics_that_cannot_be_read_refuse if {
	every phase in ["before", "step_end"] {
		failed(decide({"phase": phase, "window": null, "unreadable": 1})) == every_rule
	}
}

test_metrics_that_cannot_be_read_while_watched_refuse_the_second_time if {
	decide({"phase": "watch", "window": null, "unreadable": 1}).allow
	failed(decide({"phase": "watch", "window": null, "unreadable": 2})) == every_rule
}

test_without_metrics_health_decides_and_every_check_says_so if {
	alone := {"metrics": "none", "window": null, "clients": null}
	decision := decide(alone)
	decision.allow
	every check in decision.checks {
		contains(check.message, "health alone")
	}
	failed(decide(object.union(alone, {"healthy": false}))) == every_rule
}

clients_saw(changes) := {"clients": object.union(counted, changes)}

test_what_nginx_counted_beyond_a_limit_fails_whatever_the_page_says if {
	decision := decide(clients_saw({"error_rate": 0.5}))
	failed(decision) == {"max_error_rate"}
	contains(message(decision, "max_error_rate"), "as nginx counted")
	failed(decide(clients_saw({"p99_ms": 501}))) == {"max_p99_ms"}
	failed(decide(clients_saw({"p99_ms": null, "beyond_ms": 60000}))) == {"max_p99_ms"}
}

test_what_nginx_counted_at_a_limit_passes if {
	decide(clients_saw({"error_rate": 0.01, "p99_ms": 500, "client_error_rate": 0.3})).allow
}

test_what_nginx_counted_is_judged_where_the_app_has_no_page if {
	none := {"metrics": "none", "window": null}
	decision := decide(none)
	decision.allow
	contains(message(decision, "max_error_rate"), "as nginx counted")
	failed(decide(object.union(none, clients_saw({"error_rate": 0.5})))) == {"max_error_rate"}
	failed(decide(object.union(none, clients_saw({"client_error_rate": 0.9})))) == {"max_client_error_rise"}
	decide(object.union(none, clients_saw({"p99_ms": 9000}))).allow
}

test_without_metrics_errors_are_judged_by_evidence_and_latency_is_not if {
	none := {"metrics": "none", "window": null}
	failed(decide(object.union(none, found("max_error_rate", {"e": 400})))) == {"max_error_rate"}
	failed(decide(object.union(none, found("max_error_ratio", {"e": 400})))) == {"max_error_ratio"}
	decide(object.union(none, found("max_error_rate", {"proven_e": 1}))).verdict == "undecided"
	decide(object.union(none, found("max_p99_ms", {"e": 400, "proven_e": 1}))).verdict == "pass"
}

test_without_metrics_and_evidence_what_nginx_counted_is_judged if {
	every phase in ["watch", "step_end"] {
		none := {"phase": phase, "metrics": "none", "window": null, "evidence": null}
		decide(none).verdict == "pass"
		failed(decide(object.union(none, clients_saw({"error_rate": 0.5})))) == {"max_error_rate"}
	}
}

test_far_more_4xx_than_beside_it_fail if {
	decision := decide(clients_saw({"client_error_rate": 1}))
	failed(decision) == {"max_client_error_rise"}
	contains(message(decision, "max_client_error_rise"), "4xx are 1 of the answers in 120 requests")
	decide(object.union(clients_saw({"client_error_rate": 1}), {"beside": object.union(counted, {"client_error_rate": 0.9})})).allow
	decide(object.union(clients_saw({"client_error_rate": 1}), {"beside": null})).allow
	decide(object.union(clients_saw({"client_error_rate": 1}), {"beside": object.union(counted, {"requests": 49})})).allow
}

test_client_errors_of_few_requests_are_not_judged if {
	every phase in ["watch", "step_end"] {
		decide(object.union({"phase": phase}, clients_saw({"requests": 49, "client_error_rate": 1}))).allow
		enough := clients_saw({"requests": 50, "client_error_rate": 1})
		failed(decide(object.union({"phase": phase}, enough))) == {"max_client_error_rise"}
	}
}

test_a_watch_without_a_count_of_nginx_fails if {
	every phase in ["watch", "step_end"] {
		failed(decide({"phase": phase, "clients": null})) == every_rule
	}
	decide({"phase": "before", "clients": null}).allow
}

test_a_page_that_counts_nothing_of_what_nginx_sent_is_no_pass if {
	silent := {"window": idle, "silent": true}
	"max_error_rate" in failed(decide(object.union({"phase": "step_end"}, silent)))
	decide(object.union({"phase": "step_end"}, {"window": idle})).allow
}

test_a_rollback_is_one_check_that_passes_whatever_is_seen if {
	sick := object.union({"operation": "rollback"}, saw({"error_rate": 0.9}))
	unread := {"operation": "rollback", "window": null, "unreadable": 5}
	every changes in [sick, unread, {"operation": "rollback", "window": 7, "current": 7}] {
		decision := decide(changes)
		decision.allow
		[check.rule | some check in decision.checks] == ["rollback"]
	}
}

test_a_rollback_tells_the_figures if {
	decision := decide(object.union({"operation": "rollback"}, saw({"error_rate": 0.9})))
	contains(message(decision, "rollback"), "error rate 0.9, p99 12.5 ms in 120 requests over 30 s")
}

test_a_rollback_needs_neither_limits_nor_input if {
	decision := canary.decision with input as {"operation": "rollback"} with data.limits.canary as {}
	decision.allow
}

test_an_empty_input_fails_every_rule if {
	decision := canary.decision with input as {} with data.limits.canary as limits
	decision.allow == false
	failed(decision) == every_rule
}

test_ill_typed_input_fails_with_a_reason if {
	every key, value in {
		"operation": "restart",
		"phase": 1,
		"subject": null,
		"current": "canary",
		"target": {"mode": "stable"},
		"metrics": true,
		"healthy": "yes",
		"window": {"seconds": 0, "requests": 3},
		"unreadable": "0",
		"rollout": {},
	} {
		decision := decide({key: value})
		failed(decision) == every_rule
		contains(message(decision, "max_p99_ms"), concat("", ["input.", key]))
	}
}

test_a_missing_part_of_the_input_fails_with_a_reason if {
	every key in object.keys(sound) - {"beside", "clients", "evidence"} {
		document := object.remove(sound, [key])
		decision := canary.decision with input as document with data.limits.canary as limits
		failed(decision) == every_rule
		contains(message(decision, "max_error_rate"), concat("", ["input.", key]))
	}
}

test_unusable_limits_are_no_verdict if {
	every name in object.keys(limits) - {"window"} {
		decide_by(object.union(limits, {name: "1%"}), {}) == {"unusable_limits": [name]}
		decide_by(object.remove(limits, [name]), {}) == {"unusable_limits": [name]}
	}
}
