//! Programs thrown together from words of the language: none passes its bounds, and none ends otherwise than by a text or
//! an error.

use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::MOMENT;
use crate::budget::Budget;
use crate::{Error, Limit, Limits, Template};

const LIMITS: Limits = Limits {
    fuel: 100_000,
    fuel_per_byte: 2,
    bytes: 1 << 20,
    bytes_per_byte: 4,
    time: Duration::from_secs(600),
};

/// Pieces that make whole statements more often than not.
const STATEMENTS: [&str; 24] = [
    "{% set x = VALUE %}",
    "{% set ns.a = VALUE %}",
    "{% set ns.b = [ns, VALUE] %}",
    "{% set a, b = VALUE, VALUE %}",
    "{% for x in VALUE %}",
    "{% for x in VALUE if VALUE %}",
    "{% for x, y in VALUE recursive %}",
    "{% endfor %}",
    "{% if VALUE %}",
    "{% elif VALUE %}",
    "{% else %}",
    "{% endif %}",
    "{% macro f(x, y=VALUE) %}",
    "{% endmacro %}",
    "{% call(x) f(VALUE) %}",
    "{% endcall %}",
    "{% set x | replace(VALUE, VALUE) %}",
    "{% endset %}",
    "{% filter indent(VALUE) %}",
    "{% endfilter %}",
    "{% break %}",
    "{% continue %}",
    "{{ VALUE }}",
    "{{ VALUE ~ VALUE }}",
];

const VALUES: [&str; 72] = [
    "x",
    "y",
    "ns",
    "ns.a",
    "ns.b",
    "s",
    "l",
    "d",
    "f",
    "loop",
    "f(x)",
    "f(*l)",
    "f(**d)",
    "loop(x)",
    "loop.changed(x)",
    "loop.cycle(x, s)",
    "caller(x)",
    "caller",
    "varargs",
    "kwargs",
    "none",
    "true",
    "0",
    "-1",
    "3",
    "1.5",
    "10 ** 30",
    "99999999999",
    "''",
    "'a'",
    "'\u{e9}\u{1f600}'",
    "'%s%5d'",
    "'{}{:>9}{!r}'",
    "[]",
    "[x, s]",
    "(x, 1)",
    "{x: s}",
    "{'a': l}",
    "range(x)",
    "range(0, 9, -1)",
    "x + x",
    "s * 3",
    "x * 999",
    "x % d",
    "x % (1, s)",
    "x // y",
    "x ** y",
    "x ~ s",
    "x < y",
    "x in s",
    "x[0]",
    "x[-1]",
    "x[1:]",
    "x[::-1]",
    "x[y:x:-2]",
    "d.items()",
    "s.split(x)",
    "s.replace(x, s, 2)",
    "s.format(x, a=l)",
    "s.join(l)",
    "s.find(x, -2, 5)",
    "s.ljust(x, 'z')",
    "x | list",
    "x | sort",
    "x | groupby('a')",
    "x | map('upper') | list",
    "x | tojson(indent=x)",
    "x | batch(x, s)",
    "x | slice(3)",
    "x | string",
    "(x, x)",
    "namespace(a=x, b=l)",
];

fn program() -> impl Strategy<Value = String> {
    let value = prop::sample::select(VALUES.as_slice());
    let statement = (
        prop::sample::select(STATEMENTS.as_slice()),
        prop::collection::vec(value, 2),
    );
    prop::collection::vec(statement, 1..16).prop_map(|statements| {
        let mut text = String::from("{% set ns = namespace(a=1, b=2) %}");
        let mut open: Vec<&str> = Vec::new();
        for (statement, values) in statements {
            let name = statement.trim_start_matches("{% ");
            // Only what is open is closed, and at the end everything.
            if let Some(closed) = name.strip_prefix("end") {
                let closed = closed.trim_end_matches(" %}");
                if open.last() != Some(&closed) {
                    continue;
                }
                open.pop();
            }
            for opens in ["for", "if", "macro", "call", "filter"] {
                if name.starts_with(opens) {
                    open.push(opens);
                }
            }
            if name.starts_with("set x |") {
                open.push("set");
            }
            let mut filled = statement.to_owned();
            for value in values {
                filled = filled.replacen("VALUE", value, 1);
            }
            text.push_str(&filled);
        }
        while let Some(name) = open.pop() {
            text.push_str(&format!("{{% end{name} %}}"));
        }
        text
    })
}

/// Renders under small limits; what it took is within them, and nothing of it is left.
fn check(source: &str) {
    let Ok(template) = Template::parse(source) else {
        return;
    };
    let variables = [
        ("s", json!("aXb \u{e9}\n".repeat(200))),
        ("l", json!([1, "b", null, 2.5, [3, {"a": 4}]])),
        ("d", json!({"a": 1, "b": {"a": "c"}, "x": [1, 2]})),
    ];
    let variables: Vec<(&str, &Json)> = variables.iter().map(|(n, v)| (*n, v)).collect();
    let budget = Rc::new(Budget::new(&LIMITS));
    let result = template.run(&variables, MOMENT, &LIMITS, &budget);
    let spent = budget.spent();
    assert!(
        spent.bytes <= LIMITS.bytes + LIMITS.bytes_per_byte * 8192,
        "{spent:?}"
    );
    assert_ne!(result, Err(Error::Limit(Limit::Time)));
    assert_eq!(Rc::strong_count(&budget), 1, "something is left: {source}");
}

proptest! {
    #[test]
    fn no_program_passes_its_bounds(source in program()) {
        check(&source);
    }

    #[test]
    fn no_text_is_more_than_an_error(source in "[a-z{}%#|()\\[\\]'\"\\\\ .:,+*~=0-9\u{e9}\n-]{0,60}") {
        check(&source);
        check(&format!("{{{{ {source} }}}}"));
        check(&format!("{{% {source} %}}"));
    }
}
