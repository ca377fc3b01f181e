# Is what serves well enough to go on?
#
# input:
#   operation   "promote", "deploy" or "rollback"
#   phase       "before" the change, "watch" while a step lasts, "step_end"
#   subject     "current" or "new": whose window it is
#   current     {"mode", "version"} of what serves now
#   target      {"mode", "version"} of what shall serve
#   metrics     "declared" or "none" (services.metrics is null)
#   healthy     whether the subject is; judged where metrics is "none"
#   window      {"seconds", "requests", "error_rate", "p99_ms", "beyond_ms", …}, or null: could not be read
#   clients     the same as nginx counted it of the subject, with "client_error_rate", or null: it did
#               not count; an error is 5xx, no answer, or an attempt that nginx had to retry elsewhere, and
#               a client error an answer 4xx
#   beside      the same of the slot that served before, since the change began, or null
#   silent      true where the app's metrics page counted no request at all in the window
#   unreadable  how many scrapes in a row could not be read: 0 with a window
#   reason      why the last of them could not; may be absent
#   rollout     {"min_requests"}: with fewer, a page that counted none is not judged at the end of a step, nor
#               nginx's count while a step is watched without evidence
#   evidence    while a step is watched; see canary_evidence.rego
#
# Before a change the figures of one window are compared with their limits, and a figure at its limit passes.
# While a step is watched, errors and latency are judged by evidence. Limits come from data.limits.canary. A
# rollback is never refused: its one check passes whatever the input, and states the figures.
#
# `decision` has, beside allow and checks, a verdict: "pass", "fail" or "undecided".
package swiftdeploy.canary

rules := [
	"max_client_error_rise",
	"max_error_rate",
	"max_error_ratio",
	"max_p99_ms",
	"max_slow_ratio",
	"min_requests",
]

limits := data.limits.canary

unusable_limits := [name | some name in array.concat(rules, ["evidence"]); not usable(name)]

# Apart from `not`: a reference inside it is looked up before it, and a missing one would count as usable.
usable(rule) if is_number(limits[rule])

default going_back := false

going_back if input.operation == "rollback"

decision := {"allow": true, "verdict": "pass", "checks": [rollback]} if going_back

decision := {"unusable_limits": unusable_limits} if {
	not going_back
	count(unusable_limits) > 0
}

# Every rule must be among those that passed: a check that went missing can never open the gate.
decision := {"allow": passing == rules, "verdict": verdict, "checks": with_evidence} if {
	not going_back
	count(unusable_limits) == 0
}

verdict := "fail" if {
	passing != rules
} else := "undecided" if {
	undecided
} else := "pass"

with_evidence := [object.union(check, added) | some check in checks; added := evidence_of(check)]

evidence_of(check) := {"evidence": object.union(evidence[check.rule], {"verdict": word(check)})} if {
	evidence[check.rule]
} else := {}

word(check) := "fail" if {
	check.passed == false
} else := verdict_of(check.rule)

passing := [check.rule | some check in checks; check.passed == true]

checks := [check(rule) | some rule in rules]

check(rule) := {
	"rule": rule,
	"passed": false,
	"observed": null,
	"limit": limits[rule],
	"message": concat("", [title[rule], ": not known, ", concat("; ", faults)]),
} if {
	count(faults) > 0
} else := {
	"rule": rule,
	"passed": false,
	"observed": observed(rule),
	"limit": limits[rule],
	"message": concat("", [title[rule], ": ", evidence_words[rule]]),
} if {
	rule in refuted
} else := {
	"rule": rule,
	"passed": false,
	"observed": counted[rule],
	"limit": limits[rule],
	"message": concat("", [title[rule], ": ", counted_words[rule]]),
} if {
	exceeds(rule)
} else := {
	"rule": rule,
	"passed": by_page[0],
	"observed": null,
	"limit": limits[rule],
	"message": concat("", [title[rule], ": ", by_page[1], nothing_exceeded(rule)]),
} if {
	by_page
} else := {
	"rule": rule,
	"passed": found[0],
	"observed": observed(rule),
	"limit": limits[rule],
	"message": concat("", [title[rule], ": ", found[1]]),
} if {
	found := finding(rule)
} else := {
	"rule": rule,
	"passed": false,
	"observed": null,
	"limit": limits[rule],
	"message": concat("", [title[rule], ": not known"]),
}

title := {
	"max_client_error_rise": "client errors",
	"max_error_rate": "error rate",
	"max_error_ratio": "errors beside stable",
	"max_p99_ms": "p99",
	"max_slow_ratio": "latency beside stable",
	"min_requests": "traffic",
}

# ---- is the input whole?

faults := [text | some part in parts; name := part[0]; not fit(name); text := part[1]]

parts := [
	["operation", "input.operation must be promote, deploy or rollback"],
	["phase", "input.phase must be before, watch or step_end"],
	["subject", "input.subject must be current or new"],
	["current", "input.current must have a mode and a version"],
	["target", "input.target must have a mode and a version"],
	["metrics", "input.metrics must be declared or none"],
	["healthy", "input.healthy must be true or false"],
	["window", "input.window must be null, or have seconds above zero and requests of zero or more"],
	["clients", "input.clients must have seconds above zero and requests of zero or more; null only before a change"],
	["beside", "input.beside must be null, or have seconds above zero and requests of zero or more"],
	["unreadable", "input.unreadable must be 0 with a window, and a number above 0 where the window is null"],
	["rollout", "input.rollout.min_requests must be a number of zero or more"],
	["evidence", "input.evidence must have e, proven_e, requests and bad of each test while a step is watched"],
]

fit("operation") if input.operation in ["promote", "deploy"]

fit("phase") if input.phase in ["before", "watch", "step_end"]

fit("subject") if input.subject in ["current", "new"]

fit("current") if is_release(input.current)

fit("target") if is_release(input.target)

fit("metrics") if input.metrics in ["declared", "none"]

fit("healthy") if is_boolean(input.healthy)

fit("window") if input.metrics == "none"

fit("window") if input.window == null

fit("window") if is_window(input.window)

# nginx counts whenever a slot is watched, so a missing count is a fault then.
fit("clients") if {
	input.phase == "before"
	object.get(input, "clients", null) == null
}

fit("clients") if is_window(input.clients)

fit("beside") if object.get(input, "beside", null) == null

fit("beside") if is_window(input.beside)

fit("unreadable") if input.metrics == "none"

fit("unreadable") if {
	is_object(input.window)
	input.unreadable == 0
}

fit("unreadable") if {
	input.window == null
	is_number(input.unreadable)
	input.unreadable > 0
}

fit("rollout") if is_figure(input.rollout.min_requests)

is_release(value) if {
	is_string(value.mode)
	is_string(value.version)
}

is_window(value) if {
	is_figure(value.seconds)
	value.seconds > 0
	is_figure(value.requests)
}

is_figure(value) if {
	is_number(value)
	value >= 0
}

# ---- without a page of the app, what goes for every rule alike: [passed, why]

by_page := [input.healthy, concat("", [
	"judged by health alone (services.metrics is null), ",
	concat(" ", [who, health]),
])] if {
	input.metrics == "none"
}

# Without metrics, nginx's count is judged for errors, and not for the latency.
default nothing_exceeded(_) := ""

nothing_exceeded(rule) := concat("", ["; the limit was not exceeded in ", counted_volume]) if {
	rule in ["max_client_error_rise", "max_error_rate"]
	input.metrics == "none"
	has_counted
	has_evidence(rule) == false
}

nothing_exceeded(rule) := concat("", ["; ", evidence_words[rule]]) if {
	input.metrics == "none"
	has_evidence(rule)
}

by_page := [pardoned, concat("", ["not known, the metrics of ", who, " could not be read, ", in_a_row, why])] if {
	input.metrics == "declared"
	input.window == null
}

health := "is healthy" if input.healthy

health := "is not healthy" if not input.healthy

default pardoned := false

# One scrape that fails may be an accident; the next is a second away.
pardoned if {
	input.phase == "watch"
	input.unreadable == 1
}

in_a_row := "once, which is let pass while a step is watched" if pardoned

in_a_row := "once" if {
	input.unreadable == 1
	not pardoned
}

in_a_row := concat("", [json.marshal(input.unreadable), " times in a row"]) if input.unreadable != 1

default why := ""

why := concat("", [": ", input.reason]) if is_string(input.reason)

# ---- what nginx counted: a figure beyond its limit fails the rule, also where the app's page has none

has_counted if {
	is_window(object.get(input, "clients", null))
	input.clients.requests > 0
}

# While a step is watched, few requests are not judged.
default judges_count := false

judges_count if {
	has_counted
	input.phase != "watch"
}

judges_count if {
	has_counted
	input.clients.requests >= enough
}

counted["max_error_rate"] := input.clients.error_rate if {
	judges_count
	has_evidence("max_error_rate") == false
	is_figure(input.clients.error_rate)
}

counted["max_p99_ms"] := counted_p99 if {
	judges_count
	not is_watched
	input.metrics == "declared"
}

counted_p99 := input.clients.p99_ms if is_figure(input.clients.p99_ms)

counted_p99 := input.clients.beyond_ms if {
	is_figure(input.clients.beyond_ms)
	p99_ms := object.get(input.clients, "p99_ms", null)
	not is_figure(p99_ms)
}

# The share of client errors in the answers of the new slot, less that of the slot beside it.
counted["max_client_error_rise"] := input.clients.client_error_rate - input.beside.client_error_rate if {
	has_counted
	is_window(object.get(input, "beside", null))
	input.clients.requests >= comparable
	input.beside.requests >= comparable
	is_figure(input.clients.client_error_rate)
	is_figure(input.beside.client_error_rate)
}

# With fewer requests in either slot, shares of them differ by chance.
comparable := 50

default exceeds(_) := false

exceeds(rule) if counted[rule] > limits[rule]

counted_words[rule] := concat("", [
	json.marshal(figure_counted),
	unit[rule],
	" in ",
	counted_volume,
	", at most ",
	bound(rule),
	" wanted",
]) if {
	some rule in ["max_error_rate", "max_p99_ms"]
	figure_counted := counted[rule]
}

counted_words["max_client_error_rise"] := concat("", [
	"4xx are ",
	json.marshal(input.clients.client_error_rate),
	" of the answers in ",
	counted_volume,
	", and ",
	json.marshal(input.beside.client_error_rate),
	" beside it, at most ",
	bound("max_client_error_rise"),
	" more wanted",
]) if {
	is_figure(counted.max_client_error_rise)
}

counted_volume := concat("", [
	requests_in(input.clients),
	" over ",
	json.marshal(input.clients.seconds),
	" s to ",
	who,
	", as nginx counted",
])

# ---- what the app's page says

seen["max_error_rate"] := input.window.error_rate if is_figure(input.window.error_rate)

seen["max_p99_ms"] := input.window.p99_ms if is_figure(input.window.p99_ms)

seen["min_requests"] := input.window.requests if is_figure(input.window.requests)

observed(rule) := seen[rule] if {
	has(rule)
} else := null

# Not `within`: the embedded engine mixes up functions of one name and another arity, across packages.
default meets(_) := false

meets(rule) if {
	startswith(rule, "max_")
	seen[rule] <= limits[rule]
}

meets(rule) if {
	startswith(rule, "min_")
	seen[rule] >= limits[rule]
}

finding(rule) := [true, concat("", [volume, ", none is asked for while a step is watched"])] if {
	rule == "min_requests"
	input.phase == "watch"
} else := [meets(rule), concat("", [volume, ", at least ", json.marshal(limits[rule]), " wanted"])] if {
	rule == "min_requests"
} else := [true, counted_words[rule]] if {
	rule == "max_client_error_rise"
	counted_words[rule]
} else := [true, concat("", ["not compared with the old slot, too few requests: ", volume])] if {
	rule == "max_client_error_rise"
} else := [true, "stable is compared while a step is watched"] if {
	endswith(rule, "_ratio")
	not is_watched
} else := [false, concat("", ["the app's metrics page counted no request, and there were ", counted_volume])] if {
	input.phase == "step_end"
	object.get(input, "silent", false) == true
	has_counted
	input.clients.requests >= enough
} else := [true, evidence_words[rule]] if {
	evidence[rule]
	not is_unknown(rule)
} else := [true, concat("", ["the app's metrics page counted no request, judged by ", counted_volume])] if {
	input.window.requests == 0
	not has(rule)
	has_counted
} else := [true, concat("", ["no request was counted, ", volume])] if {
	input.window.requests == 0
	not has(rule)
} else := [meets(rule), concat("", [figure(rule), " in ", volume, ", at most ", bound(rule), " wanted"])]

enough := input.rollout.min_requests

# A page without a histogram cannot keep a limit on the p99. Its first requests may be counted before their latency.
default is_unknown(_) := false

is_unknown(rule) if {
	rule == "max_p99_ms"
	input.phase == "step_end"
	input.window.requests > 0
	beyond_ms := object.get(input.window, "beyond_ms", null)
	not is_figure(beyond_ms)
	not has(rule)
}

# Apart from `not`, as `usable` is.
has(rule) if is_figure(seen[rule])

# ---- in words. Not sprintf: the engines format figures each in a way of its own.

unit := {"max_client_error_rise": "", "max_error_rate": "", "max_p99_ms": " ms"}

bound(rule) := concat("", [json.marshal(limits[rule]), unit[rule]])

figure(rule) := concat("", [json.marshal(seen[rule]), unit[rule]]) if {
	has(rule)
} else := concat("", ["above ", json.marshal(input.window.beyond_ms), " ms (the longest bucket of the app's histogram)"]) if {
	rule == "max_p99_ms"
	is_figure(input.window.beyond_ms)
} else := "not known"

volume := concat("", [requests, " over ", json.marshal(input.window.seconds), " s to ", who])

requests := requests_in(input.window)

default requests_in(_) := "1 request"

requests_in(window) := concat("", [json.marshal(window.requests), " requests"]) if window.requests != 1

default who := "a release that is not named"

who := concat("", ["the current release (", input.current.mode, " ", input.current.version, ")"]) if {
	input.subject == "current"
	is_release(input.current)
}

who := concat("", ["the new release (", input.target.mode, " ", input.target.version, ")"]) if {
	input.subject == "new"
	is_release(input.target)
}

# ---- the way out

rollback := {
	"rule": "rollback",
	"passed": true,
	"observed": null,
	"limit": null,
	"message": concat("", ["rollback is never refused: ", figures]),
}

figures := concat("", ["error rate ", figure("max_error_rate"), ", p99 ", figure("max_p99_ms"), " in ", volume]) if {
	is_window(input.window)
} else := concat("", [who, " has no metrics (services.metrics is null), ", health]) if {
	input.metrics == "none"
	is_boolean(input.healthy)
} else := concat("", ["the metrics of ", who, " could not be read", why])
