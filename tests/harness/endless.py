"""A rule that OPA tries for longer than any test waits.

It takes no memory as it goes: in WebAssembly nothing is given back, so another would end early on a
quick machine.
"""

ENDLESS = """
endless if {
	low := numbers.range(1, 5000)
	high := numbers.range(5001, 10000)
	some one in low
	some two in low
	some other in high
	one == other
	two == other
}
"""
