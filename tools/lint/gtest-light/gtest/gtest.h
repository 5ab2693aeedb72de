/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What our tests use of GoogleTest, as declarations: for clang-tidy, which would spend ten
 * times as long on the inside of the real header as on a test. It looks at our code only; nothing
 * is ever built with this. tools/lint/tidy falls back to the real header for a file that
 * needs more than is here.
 */
#ifndef LINT_GTEST_LIGHT_H
#define LINT_GTEST_LIGHT_H

#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace testing {

class AssertionResult {
 public:
  explicit AssertionResult(bool success);
  explicit operator bool() const;
  template <class T>
  AssertionResult& operator<<(const T& value);
  const char* message() const;
};
AssertionResult AssertionSuccess();
AssertionResult AssertionFailure();

// Takes what is streamed into an assertion that failed.
class Message {
 public:
  template <class T>
  Message& operator<<(const T& value);
};
struct Return {
  void operator=(const Message& message) const;
};

class Test {
 public:
  virtual ~Test();
  static bool HasFailure();
  static bool HasFatalFailure();
  static bool IsSkipped();

 protected:
  Test();
  virtual void SetUp();
  virtual void TearDown();

 private:
  virtual void TestBody() = 0;
};

const void* anything();

template <class T>
class WithParamInterface {
 public:
  using ParamType = T;
  virtual ~WithParamInterface();
  static const T& GetParam() { return *static_cast<const T*>(anything()); }
};
template <class T>
class TestWithParam : public Test, public WithParamInterface<T> {};

template <class T>
struct TestParamInfo {
  T param;
  unsigned long index;
};

template <class... T>
struct Generator {};
template <class... T>
Generator<T...> Values(T...) {
  return {};
}
template <class C>
Generator<C> ValuesIn(const C&) {
  return {};
}
inline Generator<bool> Bool() { return {}; }

// Deducing what a name generator returns makes the compiler read its body.
template <class Suite, class G>
bool instantiate(const G&) {
  return true;
}
template <class Suite, class G, class Name>
bool instantiate(const G&, const Name& name) {
  return requires(TestParamInfo<typename Suite::ParamType> info) { std::string(name(info)); };
}

class TestResult {
 public:
  bool Failed() const;
  int total_part_count() const;
};
class TestInfo {
 public:
  const char* name() const;
  const char* test_suite_name() const;
  const TestResult* result() const;
};
class UnitTest {
 public:
  static UnitTest* GetInstance();
  const TestInfo* current_test_info() const;
};

}  // namespace testing

#define GTEST_LIGHT_CLASS(suite, name) suite##_##name##_Test
#define GTEST_LIGHT_TEST(suite, name, base)                   \
  class GTEST_LIGHT_CLASS(suite, name) : public base {        \
    void TestBody() override;                                 \
  };                                                          \
  void GTEST_LIGHT_CLASS(suite, name)::TestBody()
#define TEST(suite, name) GTEST_LIGHT_TEST(suite, name, testing::Test)
#define TEST_F(suite, name) GTEST_LIGHT_TEST(suite, name, suite)
#define TEST_P(suite, name) GTEST_LIGHT_TEST(suite, name, suite)
#define INSTANTIATE_TEST_SUITE_P(prefix, suite, ...)              \
  [[maybe_unused]] static const bool prefix##_##suite##_instance = \
      testing::instantiate<suite>(__VA_ARGS__)

#define GTEST_LIGHT_EXPECT(condition) \
  if (condition)                      \
    ;                                 \
  else                                \
    testing::Message()
#define GTEST_LIGHT_ASSERT(condition) \
  if (condition)                      \
    ;                                 \
  else                                \
    return testing::Return() = testing::Message()

#define EXPECT_TRUE(x) GTEST_LIGHT_EXPECT(static_cast<bool>(x))
#define EXPECT_FALSE(x) GTEST_LIGHT_EXPECT(!static_cast<bool>(x))
#define EXPECT_EQ(a, b) GTEST_LIGHT_EXPECT((a) == (b))
#define EXPECT_NE(a, b) GTEST_LIGHT_EXPECT((a) != (b))
#define EXPECT_LT(a, b) GTEST_LIGHT_EXPECT((a) < (b))
#define EXPECT_LE(a, b) GTEST_LIGHT_EXPECT((a) <= (b))
#define EXPECT_GT(a, b) GTEST_LIGHT_EXPECT((a) > (b))
#define EXPECT_GE(a, b) GTEST_LIGHT_EXPECT((a) >= (b))
#define EXPECT_STREQ(a, b) GTEST_LIGHT_EXPECT(__builtin_strcmp((a), (b)) == 0)
#define ASSERT_TRUE(x) GTEST_LIGHT_ASSERT(static_cast<bool>(x))
#define ASSERT_FALSE(x) GTEST_LIGHT_ASSERT(!static_cast<bool>(x))
#define ASSERT_EQ(a, b) GTEST_LIGHT_ASSERT((a) == (b))
#define ASSERT_NE(a, b) GTEST_LIGHT_ASSERT((a) != (b))
#define ASSERT_LT(a, b) GTEST_LIGHT_ASSERT((a) < (b))
#define ASSERT_LE(a, b) GTEST_LIGHT_ASSERT((a) <= (b))
#define ASSERT_GT(a, b) GTEST_LIGHT_ASSERT((a) > (b))
#define ASSERT_GE(a, b) GTEST_LIGHT_ASSERT((a) >= (b))
#define ASSERT_STREQ(a, b) GTEST_LIGHT_ASSERT(__builtin_strcmp((a), (b)) == 0)
#define ASSERT_NO_FATAL_FAILURE(statement) \
  if (statement; !testing::Test::HasFatalFailure()) \
    ;                                               \
  else                                              \
    return testing::Return() = testing::Message()
#define EXPECT_NO_FATAL_FAILURE(statement) \
  if (statement; !testing::Test::HasFatalFailure()) \
    ;                                               \
  else                                              \
    testing::Message()
#define EXPECT_DEATH(statement, pattern) \
  if ([&] { statement; }, true)          \
    ;                                    \
  else                                   \
    testing::Message() << (pattern)
#define FAIL() return testing::Return() = testing::Message()
#define GTEST_SKIP() return testing::Return() = testing::Message()
#define ADD_FAILURE() testing::Message()
#define ADD_FAILURE_AT(file, line) testing::Message() << (file) << (line)
#define SUCCEED() testing::Message()
#define SCOPED_TRACE(message) testing::Message() << (message)

#endif
