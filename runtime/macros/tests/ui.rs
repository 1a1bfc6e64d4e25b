//! What the compiler says about what the macros refuse; what they accept stands in `accepted`. After a change of a message:
//! `TRYBUILD=overwrite cargo test -p greenroom-macros --test ui`, and read the difference.

#[test]
fn each_mistake_is_one_readable_error() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/actor/*.rs");
    cases.compile_fail("tests/ui/methods/*.rs");
    cases.compile_fail("tests/ui/workflow/*.rs");
}
