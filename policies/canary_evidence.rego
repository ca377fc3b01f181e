# Judges the new release by evidence while a step lasts: against its limits, and beside stable.
#
# input.evidence has, for each of the four rules below:
#   e            the evidence against the release: it reaches N by chance at most once in N rollouts
#   proven_e     the evidence that the release keeps the limit
#   requests, bad                of the new slot: bad ones failed, or took longer than boundary_ms
#   stable_requests, stable_bad  of stable at the same moments; null where a rule does not compare
#   boundary_ms  the boundary of the histogram that is counted from; null where there is none
#   why          what the evidence cannot say, or ""
#
# A rule fails once e reaches limits.evidence. It passes once proven_e reaches `proof`, and is undecided before.
package swiftdeploy.canary

tests := ["max_error_rate", "max_error_ratio", "max_p99_ms", "max_slow_ratio"]

proof := 20

is_watched if input.phase in ["watch", "step_end"]

# Without metrics health is judged, and the errors that nginx counted where it did.
fit("evidence") if not is_watched

fit("evidence") if {
	input.metrics == "none"
	object.get(input, "evidence", null) == null
}

fit("evidence") if {
	is_watched
	usable_tests == tests
}

usable_tests := [rule | some rule in tests; is_test(rule, input.evidence[rule])]

is_test(rule, found) if {
	count([name | some name in ["e", "proven_e", "requests", "bad"]; is_figure(found[name])]) == 4
	found.bad <= found.requests
	is_string(found.why)
	is_compared(rule, found)
}

is_compared(rule, _) if not endswith(rule, "_ratio")

is_compared(rule, found) if {
	endswith(rule, "_ratio")
	is_figure(found.stable_requests)
	is_figure(found.stable_bad)
	found.stable_bad <= found.stable_requests
}

# ---- the evidence of each rule that is judged by it

evidence[rule] := found if {
	is_watched
	some rule in tests
	by_evidence(rule)
	found := input.evidence[rule]
	is_test(rule, found)
}

default has_evidence(_) := false

has_evidence(rule) if evidence[rule]

by_evidence(_) if input.metrics == "declared"

by_evidence(rule) if {
	input.metrics == "none"
	startswith(rule, "max_error_")
}

refuted contains rule if {
	some rule, found in evidence
	found.e >= limits.evidence
}

# A step without requests is not proven by those before it.
proven contains rule if {
	some rule, found in evidence
	found.proven_e >= proof
	found.requests > 0
	has_counted
}

# A comparison passes where both slots had requests and it is not refuted.
compared contains rule if {
	some rule, found in evidence
	endswith(rule, "_ratio")
	found.requests > 0
	found.stable_requests > 0
	has_counted
}

verdict_of(rule) := "fail" if {
	rule in refuted
} else := "pass" if {
	rule in (proven | compared)
} else := "undecided"

default undecided := false

undecided if {
	some rule in ["max_error_rate", "max_p99_ms"]
	evidence[rule]
	verdict_of(rule) == "undecided"
}

# ---- in words

evidence_words[rule] := words_of(rule) if evidence[rule]

words_of(rule) := "no requests to the new release: undecided" if {
	not has_counted
	verdict_of(rule) == "undecided"
} else := concat("", ["stable is not compared", limitation(rule)]) if {
	endswith(rule, "_ratio")
	evidence[rule].requests == 0
} else := concat("", ["no request is counted yet: undecided", limitation(rule)]) if {
	evidence[rule].requests == 0
} else := concat("", [counts_of(rule), conclusion(rule), limitation(rule)])

counts_of(rule) := concat("", [part_of("new", found.requests, found.bad, rule), beside_words(rule)]) if {
	found := evidence[rule]
}

part_of(name, requests_seen, bad, rule) := concat("", [
	name,
	" ",
	json.marshal(bad),
	" of ",
	json.marshal(requests_seen),
	bad_words(rule),
])

bad_words(rule) := " failed" if {
	startswith(rule, "max_error_")
} else := concat("", [" took longer than ", json.marshal(evidence[rule].boundary_ms), " ms"]) if {
	is_figure(evidence[rule].boundary_ms)
} else := " were slow"

default beside_words(_) := ""

beside_words(rule) := concat("", [
	", stable ",
	json.marshal(evidence[rule].stable_bad),
	" of ",
	json.marshal(evidence[rule].stable_requests),
]) if {
	endswith(rule, "_ratio")
}

conclusion(rule) := concat("", [times(rule), "; this happens by chance at most once in ", odds(evidence[rule].e)]) if {
	rule in refuted
} else := concat("", ["; at most ", allowed(rule), " is proven"]) if {
	rule in proven
} else := concat("", ["; not shown to be more than ", json.marshal(limits[rule]), " times as often"]) if {
	rule in compared
} else := "; stable is not compared" if {
	endswith(rule, "_ratio")
} else := concat("", [": too few to tell ", allowed(rule), " from none"]) if {
	evidence[rule].bad == 0
} else := concat("", ["; neither above ", allowed(rule), " nor proven to be at most that"])

odds(e) := "1000000" if {
	e >= 1000000
} else := json.marshal(floor(e))

# How many times as often as in stable a request of the new release is bad.
default times(_) := ""

times(rule) := concat("", [": ", json.marshal(round(ratio(rule))), " times as often"]) if ratio(rule) >= 1.5

times(rule) := concat("", [", at most ", allowed(rule), " allowed"]) if not endswith(rule, "_ratio")

ratio(rule) := (found.bad / found.requests) / (found.stable_bad / found.stable_requests) if {
	endswith(rule, "_ratio")
	found := evidence[rule]
	found.stable_bad > 0
}

# A limit on the p99 lets 1 of 100 requests be slower.
allowed(rule) := "1 of 100" if {
	rule == "max_p99_ms"
} else := json.marshal(limits[rule])

limitation(rule) := concat("", [" (", evidence[rule].why, ")"]) if {
	evidence[rule].why != ""
} else := ""
