// SPDX-License-Identifier: GPL-2.0
//
// A test program that prints TAP: each TEST is a function; a CHECK that fails
// says what it saw and ends the test.
#ifndef TAP_HPP
#define TAP_HPP

#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace tap {

struct Test {
	const char *name;
	void (*run)();
};

inline std::vector<Test> &tests()
{
	static std::vector<Test> all;
	return all;
}

struct Registration {
	Registration(const char *name, void (*run)())
	{
		tests().push_back({name, run});
	}
};

struct Failure : std::runtime_error {
	using std::runtime_error::runtime_error;
};

template <class A, class B>
void equal(const A &seen, const B &wanted, const char *seen_text, const char *wanted_text,
	   const char *file, int line)
{
	if (seen == wanted)
		return;
	std::ostringstream out;
	out << file << ':' << line << ": " << seen_text << " is " << seen << ", not " << wanted_text
	    << " = " << wanted;
	throw Failure(out.str());
}

inline int run_all()
{
	std::printf("TAP version 13\n1..%zu\n", tests().size());
	int number = 0, failed = 0;
	for (const Test &test : tests()) {
		std::string why;
		try {
			test.run();
		} catch (const std::exception &e) {
			why = e.what();
			failed++;
		}
		if (!why.empty())
			std::printf("# %s\n", why.c_str());
		std::printf("%sok %d - %s\n", why.empty() ? "" : "not ", ++number, test.name);
		std::fflush(stdout);
	}
	return failed != 0;
}

} // namespace tap

#define TEST(name)                                                                      \
	static void test_##name();                                                      \
	static const tap::Registration registration_##name("Mock." #name, test_##name); \
	static void test_##name()

#define CHECK_EQ(seen, wanted) tap::equal(seen, wanted, #seen, #wanted, __FILE__, __LINE__)
#define CHECK(what) tap::equal(static_cast<bool>(what), true, #what, "true", __FILE__, __LINE__)

#endif
