//! Numbers within their bounds, at both ends of them.

use serde_json::{Value, json};

use super::super::to_grammar;
use super::values::{check, finds, gives};

#[test]
fn numbers_stay_within_their_bounds() {
    let bounds = [
        -1_000_005, -1000, -100, -99, -10, -9, -1, 0, 1, 5, 9, 10, 99, 100, 105, 1000, 4_000_017,
    ];
    for least in bounds {
        for most in bounds.into_iter().filter(|most| least <= *most) {
            for kind in ["integer", "number"] {
                check(json!({"type": kind, "minimum": least, "maximum": most}));
            }
        }
        check(json!({"type": "integer", "minimum": least}));
        check(json!({"type": "integer", "maximum": least}));
        check(json!({"type": "integer", "exclusiveMinimum": least, "minimum": least}));
        check(json!({"type": "number", "minimum": least}));
        check(json!({"type": "number", "maximum": least}));
    }
    check(json!({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 10.5}));
    gives(
        json!({"type": "integer", "exclusiveMinimum": 97.0, "exclusiveMaximum": 102, "minimum": -1e300}),
        &[json!(98), json!(99), json!(100), json!(101)],
    );
    gives(
        json!({"type": "integer", "minimum": -1, "maximum": 1}),
        &[json!(-1), json!(0), json!(1)],
    );
    finds(
        json!({"type": "number", "minimum": 0, "maximum": 1}),
        &[json!(0), json!(1)],
    );
}

#[test]
fn bounds_may_be_fractions_and_excluded() {
    let bounds = [
        -1000.25, -1.0, -0.1, 0.0, 1e-7, 0.3, 0.95, 1.0, 9.99, 1000.25,
    ];
    for least in bounds {
        for kind in ["number", "integer"] {
            check(json!({"type": kind, "minimum": least}));
            check(json!({"type": kind, "maximum": least}));
            check(json!({"type": kind, "exclusiveMinimum": least}));
            check(json!({"type": kind, "exclusiveMaximum": least}));
        }
        for most in bounds.into_iter().filter(|most| least < *most) {
            check(json!({"type": "number", "minimum": least, "maximum": most}));
            check(json!({"type": "number", "exclusiveMinimum": least, "exclusiveMaximum": most}));
        }
        check(json!({"type": "number", "minimum": least, "maximum": least}));
    }
    finds(
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        &[json!(1)],
    );
    gives(
        json!({"allOf": [{"type": "number", "minimum": 0.5}, {"type": "integer", "exclusiveMaximum": 3}]}),
        &[json!(1), json!(2)],
    );
}

#[test]
fn what_is_close_to_an_excluded_bound_is_not_rounded_to_it() {
    for bound in [
        0.0,
        0.1,
        0.3,
        1.0,
        9.999,
        10.0,
        123456.789,
        999999999999999.0,
        4503599627370497.5,
    ] {
        check(
            json!({"type": "number", "exclusiveMinimum": bound, "maximum": bound + 0.001 + bound / 1e12}),
        );
        check(
            json!({"type": "number", "exclusiveMaximum": bound, "minimum": bound - 0.001 - bound / 1e12}),
        );
    }
}

#[test]
fn far_bounds_are_no_bounds() {
    for kind in ["integer", "number"] {
        for far in [1e17, 1e19, 1e40, 1e300] {
            check(json!({"type": kind, "exclusiveMinimum": -far}));
            check(json!({"type": kind, "exclusiveMaximum": far}));
            check(json!({"type": kind, "minimum": -far, "maximum": far}));
            for nothing in [
                json!({"type": kind, "exclusiveMinimum": far}),
                json!({"type": kind, "minimum": far}),
                json!({"type": kind, "exclusiveMaximum": -far}),
                json!({"type": kind, "maximum": -far}),
            ] {
                let error = to_grammar(&nothing).unwrap_err();
                assert!(
                    error.contains("no number of 16 digits"),
                    "{nothing}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_missing_bound_excludes_no_literal() {
    let far: [Value; 3] = [
        json!(100_000_000_000_000_000_i64),
        json!(1e20),
        json!(1e300),
    ];
    for value in far {
        let schema = json!({"type": "integer", "minimum": 0, "enum": [value, -1]});
        gives(schema, std::slice::from_ref(&value));
        let branches = json!({"oneOf": [{"const": value}, {"type": "integer", "minimum": 0}]});
        let error = to_grammar(&branches).unwrap_err();
        assert!(error.contains("may both hold"), "{error}");
        let branches = json!({"oneOf": [{"const": value}, {"type": "integer", "maximum": 0}]});
        check(branches);
    }
}
