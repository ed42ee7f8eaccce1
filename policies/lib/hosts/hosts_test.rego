package detent.lib.hosts_test

import data.detent.lib.hosts
import future.keywords.not

test_the_host_of[value] if {
	some value, host in {
		"https://api.example.com/v1?q=1#top": "api.example.com",
		"http://api.example.com": "api.example.com",
		"HTTPS://API.Example.COM:8443/x": "api.example.com",
		"https://api.example.com/a@b:c": "api.example.com",
		"api.example.com": "api.example.com",
		"API.example.com:443": "api.example.com",
		"my_host": "my_host",
		"192.0.2.7": "192.0.2.7",
		"http://192.0.2.7:80/": "192.0.2.7",
		"http://[2001:DB8::1]:8080/": "2001:db8::1",
		"[2001:db8::1]:8080": "2001:db8::1",
		"2001:DB8::1": "2001:db8::1",
	}
	hosts.of(value) == host
}

test_there_is_no_host_in[note] if {
	some note, value in {
		"user information": "https://good.example@evil.example/",
		"a password": "https://a:b@evil.example/",
		"a backslash in the authority": `https://good.example\@evil.example/`,
		"a backslash in the path": `https://good.example/\evil.example`,
		"a query without a path": "https://good.example?@evil.example/",
		"a fragment without a path": "https://good.example#@evil.example/",
		"a percent sign": "https://g%6fod.example/",
		"a space": "https://good.example/ a",
		"a space before": " https://good.example/",
		"a tab": "https://good.example/\ta",
		"a line break at the end": "https://good.example/\n",
		"a line break after a host": "good.example\n",
		"NUL": "https://good.example/\u0000",
		"DEL": "https://good.example/\u007f",
		"another scheme": "file://good.example/x",
		"no scheme": "//good.example/x",
		"one slash": "https:/good.example/x",
		"no host": "https:///x",
		"a host and a path": "good.example/x",
		"a trailing dot": "https://good.example./",
		"two dots": "https://good..example/",
		"a leading dash": "https://-good.example/",
		"a trailing dash": "https://good-.example/",
		"an empty port": "https://good.example:/",
		"a long port": "https://good.example:123456/",
		"letters as a port": "good.example:http",
		"full-width letters": "https://ｇood.example/",
		"the Kelvin sign": "https://\u212aey.example/",
		"an ideographic stop": "https://good\u3002example/",
		"brackets without an address": "https://[good]/",
		"brackets around IPv4": "https://[192.0.2.7]/",
		"a zone": "http://[fe80::1%25eth0]/",
		"colons alone": ":::::",
		"colons in brackets": "[:::]:80",
		"colons in the brackets of a URL": "https://[:::]/",
		"nothing": "",
		"a name that is too long": concat(".", [label | some _ in numbers.range(1, 128); label := "a"]),
		"a label that is too long": concat("", [letter | some _ in numbers.range(1, 64); letter := "a"]),
	}
	not hosts.of(value)
}

test_both_readers_agree_on[note] if {
	some note, [value, urls, host] in {
		"a URL": ["https://a.example/x", ["https://b.example/", "https://a.example/x"], "a.example"],
		"a URL with its port": ["http://a.example:80", ["http://a.example/"], "a.example"],
		"an address": ["http://[::1]/", ["http://[::1]/"], "::1"],
		"a name, which is no URL": ["a.example", [], "a.example"],
	}
	hosts.agreed(value, urls) == host
}

test_the_readers_do_not_agree_on[note] if {
	some note, [value, urls] in {
		"a URL the gateway has not seen": ["https://a.example/", []],
		"a URL the gateway reads otherwise": ["http://127.1/", ["http://127.0.0.1/"]],
		"a URL nobody can read": ["https://a@b.example/", ["https://b.example/"]],
		"what is no list": ["https://a.example/", null],
		"a number": [7, []],
		"a list": [["a.example"], []],
		"null": [null, []],
		"a name nobody can read": ["a..example", []],
	}
	not hosts.agreed(value, urls)
}

test_a_host_has_at_most_253_characters if {
	longest := concat(".", [label | some _ in numbers.range(1, 127); label := "a"])
	count(longest) == 253
	hosts.of(longest) == longest
	not hosts.of(concat("", [longest, "a"]))
}

test_what_is_listed[note] if {
	some note, [host, patterns] in {
		"the name": ["a.example", ["b.example", "a.example"]],
		"a name below": ["x.a.example", ["*.a.example"]],
		"a name far below": ["x.y.a.example", ["*.a.example"]],
		"an address by itself": ["192.0.2.7", ["192.0.2.7"]],
	}
	hosts.listed(host, patterns)
}

test_what_is_not_listed[note] if {
	some note, [host, patterns] in {
		"another name": ["b.example", ["a.example"]],
		"nothing is listed": ["a.example", []],
		"a suffix without its dot": ["evila.example", ["*.a.example"]],
		"the name above": ["a.example", ["*.a.example"]],
		"a name below a plain pattern": ["x.a.example", ["a.example"]],
		"a pattern that is only a star": ["a.example", ["*"]],
		"an address below a number": ["192.0.2.7", ["*.2.7"]],
		"an IPv6 address": ["::ffff:192.0.2.7", ["*.2.7"]],
		"a star inside": ["x.a.example", ["x.*.example"]],
	}
	not hosts.listed(host, patterns)
}

test_what_is_addressed[note] if {
	some note, [host, networks] in {
		"IPv4": ["192.0.2.7", ["10.0.0.0/8", "192.0.2.0/24"]],
		"IPv6": ["2001:db8::1", ["2001:db8::/32"]],
		"IPv4 in IPv6 is the same address": ["::ffff:192.0.2.7", ["192.0.2.0/24"]],
	}
	hosts.addressed(host, networks)
}

test_what_is_not_addressed[note] if {
	some note, [host, networks] in {
		"outside": ["192.0.3.7", ["192.0.2.0/24"]],
		"a name": ["localhost", ["0.0.0.0/0"]],
		"a short form": ["127.1", ["0.0.0.0/0"]],
		"a number": ["2130706433", ["0.0.0.0/0"]],
		"hexadecimal": ["0x7f.0.0.1", ["0.0.0.0/0"]],
		"octal": ["0177.0.0.1", ["0.0.0.0/0"]],
		"no address": ["999.0.0.1", ["0.0.0.0/0"]],
		"no network": ["192.0.2.7", ["anything"]],
		"nothing is listed": ["192.0.2.7", []],
	}
	not hosts.addressed(host, networks)
}
