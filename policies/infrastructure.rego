# Has this machine room for what would be deployed?
# Figures come from input.host, limits from data.limits.infrastructure; a figure at its limit passes.
package swiftdeploy.infrastructure

rules := ["max_load_per_core", "max_memory_used_percent", "min_disk_free_gb"]

limits := data.limits.infrastructure

unusable_limits := [rule | some rule in rules; not usable(rule)]

# Apart from `not`: a reference inside it is looked up before it, and a missing one would count as usable.
usable(rule) if is_number(limits[rule])

decision := {"unusable_limits": unusable_limits} if count(unusable_limits) > 0

# Every rule must be among those that passed: a check that went missing can never open the gate.
decision := {"allow": passing == rules, "checks": checks} if count(unusable_limits) == 0

passing := [check.rule | some check in checks; check.passed == true]

checks := [check(rule) | some rule in rules]

check(rule) := {
	"rule": rule,
	"passed": within(rule, observed[rule]),
	"observed": observed[rule],
	"limit": limits[rule],
	"message": message[rule],
} if {
	message[rule]
} else := {
	"rule": rule,
	"passed": false,
	"observed": null,
	"limit": limits[rule],
	"message": concat("", [rule, ": not known, ", wanted[rule]]),
}

within(rule, figure) := figure <= limits[rule] if startswith(rule, "max_")

within(rule, figure) := figure >= limits[rule] if startswith(rule, "min_")

# What was measured, by rule; a rule whose input is missing or ill-typed is not among them.
observed["max_load_per_core"] := input.host.load_per_core if measured(input.host.load_per_core)

observed["max_memory_used_percent"] := input.host.memory_used_percent if measured(input.host.memory_used_percent)

observed["min_disk_free_gb"] := tightest_disk.free_gb

measured(value) if {
	is_number(value)
	value >= 0
}

# Not min(): the embedded engine orders numbers of mixed length as text.
tightest_disk := tightest[0] if {
	disks := input.host.disks
	is_array(disks)
	sound := [disk | some disk in disks; is_string(disk.path); measured(disk.free_gb)]
	count(sound) == count(disks)
	tightest := [disk | some disk in sound; count([other | some other in sound; other.free_gb < disk.free_gb]) == 0]
}

# Not sprintf: the engines format figures, and quote texts, each in a way of its own.
message["max_load_per_core"] := concat("", [
	"load: ",
	json.marshal(observed.max_load_per_core),
	" per core over ",
	json.marshal(input.host.load_minutes),
	" minutes, at most ",
	json.marshal(limits.max_load_per_core),
	" wanted",
]) if {
	measured(input.host.load_minutes)
}

message["max_memory_used_percent"] := concat("", [
	"memory: ",
	json.marshal(observed.max_memory_used_percent),
	"% used, at most ",
	json.marshal(limits.max_memory_used_percent),
	"% wanted",
])

message["min_disk_free_gb"] := concat("", [
	"disk: ",
	json.marshal(tightest_disk.free_gb),
	" GB free on ",
	tightest_disk.path,
	", at least ",
	json.marshal(limits.min_disk_free_gb),
	" GB wanted",
])

wanted := {
	"max_load_per_core": "input.host.load_per_core and load_minutes must be numbers of zero or more",
	"max_memory_used_percent": "input.host.memory_used_percent must be a number of zero or more",
	"min_disk_free_gb": "input.host.disks must list disks, each with a path and a free_gb of zero or more",
}
