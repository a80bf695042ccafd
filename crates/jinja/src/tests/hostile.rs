//! Templates that want everything: each ends with an error, within the bytes and the fuel that it was given.

use serde_json::{Value as Json, json};

use super::MOMENT;
use crate::budget::{Budget, MAX_LEVELS};
use crate::{Error, Limit, Limits, Spent, Template};

/// Less than a template has otherwise, so that the tests are quick; what is refused does not depend on it.
const LIMITS: Limits = Limits {
    fuel: 2_000_000,
    fuel_per_byte: 2,
    bytes: 32 << 20,
    bytes_per_byte: 8,
    time: std::time::Duration::from_secs(600),
};

/// What one operation may reach beyond the limit before it is refused: nothing is made first and charged later.
const SLACK: u64 = 1 << 22;

fn render(
    source: &str,
    variables: &[(&str, &Json)],
    limits: &Limits,
) -> (crate::error::Result<String>, Spent) {
    let template = match Template::parse(source) {
        Ok(template) => template,
        Err(error) => return (Err(error), Spent { fuel: 0, bytes: 0 }),
    };
    template.render_with_account(variables, MOMENT, limits)
}

/// Checks that the template is refused for what it takes, and that it did not take it.
fn refused(source: &str) -> Limit {
    let limits = LIMITS;
    let content = json!("b".repeat(1 << 20));
    let (result, spent) = render(source, &[("s", &content)], &limits);
    let shown: String = source.chars().take(120).collect();
    let Err(Error::Limit(limit)) = result else {
        let shape = result.map(|text| text.len());
        panic!("{shown}: {shape:?}");
    };
    let bytes = limits.bytes + limits.bytes_per_byte * (content.as_str().unwrap().len() + 64);
    assert!(spent.bytes <= bytes, "{shown}: {} bytes", spent.bytes);
    let fuel = limits.fuel + limits.fuel_per_byte * (1 << 20) + SLACK;
    assert!(
        limit == Limit::Bytes || spent.fuel <= fuel,
        "{shown}: {} fuel",
        spent.fuel
    );
    limit
}

#[test]
fn texts_that_grow_without_end_are_refused() {
    for source in [
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s.replace('a', 'aa') %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = '{0}{0}'.format(ns.s) %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s.join([ns.s, ns.s]) %}{% endfor %}",
        "{% set ns = namespace(s='aa') %}{% for i in range(40) %}{% set ns.s = [ns.s, ns.s] | string %}{% endfor %}",
        "{% set ns = namespace(s='aa') %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] | tojson %}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = t %}{% endfor %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% else %}{{ s }}{% endif %}{% endmacro %}{{ f(20) }}",
        "{{ '{:>9999999999}'.format('x') }}",
        "{{ '{:*^9999999999}'.format(1) }}",
        "{{ '%9999999999s' % 'x' }}",
        "{{ '%09999999999d' % 1 }}",
        "{{ '%*d' % (9999999999, 1) }}",
        "{{ '{:{}}'.format('a', 99999999999) }}",
        "{{ s | indent(100000000) }}",
        "{{ 'a\\nb' | indent(10 ** 12, true) }}",
        "{{ 'x' * 10 ** 10 }}",
        "{{ 10 ** 10 * 'x' }}",
        "{{ 'x' | center(10 ** 11) }}",
        "{{ 'x'.ljust(10 ** 11) }}{{ 'x'.zfill(10 ** 11) }}",
        "{{ 'x'.rjust(10 ** 11, 'y') }}",
        "{{ '\\t'.expandtabs(10 ** 11) }}",
        "{{ s | tojson(indent=10 ** 11) }}",
        "{{ [1] | tojson(indent=10 ** 11) }}",
        "{{ [[[1]]] | tojson(indent=s) }}{{ [[s] * 99999] | tojson(indent=s) }}",
        "{{ s.replace('', s) }}",
        "{{ s.replace('b', s) }}",
        "{{ s | wordwrap(1, true, s) }}",
        "{{ s | e | e | e | e | e | urlencode | replace('b', s) }}",
        "{% for i in range(99999) %}{{ s }}{% endfor %}",
        "{% filter upper %}{% for i in range(99999) %}{{ s }}{% endfor %}{% endfilter %}",
        "{% set ns = namespace(f='%c') %}{% for i in range(60) %}{% set ns.f = ns.f ~ ns.f %}{% endfor %}{{ strftime_now(ns.f) }}",
    ] {
        // A text that grows from little may take the steps first.
        assert!(
            matches!(refused(source), Limit::Bytes | Limit::Fuel),
            "{source}"
        );
    }
}

#[test]
fn lists_that_grow_without_end_are_refused() {
    for source in [
        "{{ s | list }}",
        "{{ s | list | batch(1) | list }}{{ s | map('upper') | list }}",
        "{{ [0] * 10 ** 10 }}",
        "{{ (0,) * 10 ** 10 }}",
        "{% set ns = namespace(l=[1, 2]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1, 2]) %}{% for i in range(60) %}{% set ns.l = (ns.l | list) + ns.l[:] %}{% endfor %}",
        "{{ [1] | batch(10 ** 10, 'x') | list }}",
        "{{ [1] | slice(10 ** 10) | list }}",
        "{{ s.split('b') }}",
        "{% macro f() %}{{ varargs }}{% endmacro %}{% set l = range(99999) | list %}{{ f(*l, *l, *l, *l, *l, *l, *l, *l, *l) }}",
        "{{ s.replace('b', 'b\\n').splitlines() }}",
        "{% for x in s %}{{ x }}{% endfor %}",
        "{% set ns = namespace() %}{% for i in range(99999) %}{% for j in range(99999) %}{% set n = namespace(a=[i, j] * 50) %}{% endfor %}{% endfor %}",
    ] {
        assert!(
            matches!(refused(source), Limit::Bytes | Limit::Fuel),
            "{source}"
        );
    }
}

#[test]
fn work_without_end_is_refused() {
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% if 'c' in s %}{% endif %}{% endfor %}",
        "{% for a in range(100000) %}{% if s == s %}{% endif %}{% set x = s | length %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s.find('c') + s.count('c') %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s | trim %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s.strip('xyz') %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s[a] %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s[::-1] %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s.startswith('c', 1000000) %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s is upper %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s < s %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = {s: 1}[s] %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = range(100000) | list %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = range(1000) | sort(reverse=true) %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = range(1000) | unique | list %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = a in range(100000) %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s | wordcount %}{% endfor %}",
        "{% for a in range(100000) %}{% set x = s | int %}{% endfor %}",
        "{% set ns = namespace(x=(1,)) %}{% for i in range(90) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{{ loop.changed(ns.x) }}{% endfor %}",
        "{% for a in range(100000) %}{% set x = '%.1s' % s %}{% endfor %}",
        "{% macro f(n) %}{% for i in range(100000) %}{{ f(n) }}{% break %}{% endfor %}{% endmacro %}{% for i in range(100000) %}{% set t = s ~ i %}{% endfor %}",
    ] {
        assert_eq!(refused(source), Limit::Fuel, "{source}");
    }
}

#[test]
fn depth_without_end_is_refused_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(4 << 20).spawn(|| {
        let deep = |open: &str, middle: &str, close: &str, count: usize| {
            format!("{}{middle}{}", open.repeat(count), close.repeat(count))
        };
        for source in [
            "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}".to_owned(),
            "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}".to_owned(),
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
            "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}".to_owned(),
            "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}".to_owned(),
            "{% set ns = namespace(l=[1]) %}{% for i in range(99999) %}{% for x in ns.l %}{% set ns.l = [loop] %}{% endfor %}{% endfor %}".to_owned(),
            "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}".to_owned(),
            format!("{{{{ {} }}}}", deep("(", "1", ")", 100_000)),
            format!("{{{{ {} }}}}", deep("[", "1", "]", 100_000)),
            format!("{{{{ {} }}}}", deep("f(", "1", ")", 100_000)),
            format!("{{{{ {}1 }}}}", "not ".repeat(100_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
            format!("{{{{ x{} }}}}", ".a".repeat(100_000)),
            format!("{{{{ x{} }}}}", "|upper".repeat(100_000)),
            format!("{{{{ x{} }}}}", "()".repeat(100_000)),
            format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(50_000)),
            format!("{{{{ 1{} }}}}", " if 1".repeat(100_000)),
            deep("{% if 1 %}", "", "{% endif %}", 40_000),
            deep("{% for x in y %}", "", "{% endfor %}", 30_000),
            format!("{{{{ {}x{} }}}}", "(".repeat(100), ".a.b.c.d.e)".repeat(100)),
        ] {
            let got = render(&source, &[], &Limits::default()).0.map(|text| text.len());
            let shown: String = source.chars().take(60).collect();
            assert_eq!(got, Err(Error::Limit(Limit::Depth)), "{shown}");
        }
        // Many of a kind beside each other are no depth.
        let wide = format!("{{{{ 1{} }}}}", " + 1".repeat(50_000));
        assert_eq!(render(&wide, &[], &Limits::default()).0.unwrap(), "50001");
    });
    assert!(thread.unwrap().join().is_ok());
    const { assert!(MAX_LEVELS > 300) };
}

/// What an operation forgot to charge would show here: the tests above under a limit of the system.
#[test]
fn hostile_templates_end_within_half_a_gigabyte_of_address_space() {
    let program = std::env::current_exe().unwrap();
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 524288 && exec \"$0\" \"$@\""])
        .arg(program)
        .args([
            "tests::hostile::",
            "--skip",
            "address_space",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{said}");
    assert!(
        said.contains("work_without_end_is_refused ... ok"),
        "{said}"
    );
}

#[test]
fn values_that_know_each_other_in_circles_are_freed() {
    let template = Template::parse(
        "{% set ns = namespace() %}{% set ns.self = ns %}{% macro f() %}{{ f }}{% endmacro %}\
         {% for x in [1, 2] recursive %}{% set ns.l = loop %}{% macro g() %}{{ loop }}{% endmacro %}{% set ns.g = g %}{% endfor %}",
    )
    .unwrap();
    let budget = std::rc::Rc::new(Budget::new(&Limits::default()));
    template.run(&[], MOMENT, &LIMITS, &budget).unwrap();
    assert_eq!(std::rc::Rc::strong_count(&budget), 1);
}

#[test]
fn time_is_bounded_too() {
    let template = Template::parse("{% for a in range(100000) %}{% endfor %}").unwrap();
    let limits = Limits {
        time: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let late = template.render(&[], MOMENT, &limits);
    assert_eq!(late, Err(Error::Limit(Limit::Time)));
}

#[test]
fn a_long_conversation_takes_a_small_part_of_its_bounds() {
    let source = "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}\
        {% for m in messages %}{% set content = m.content | trim %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}\
        {{ '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}{% if loop.index0 > ns.last %}x{% endif %}{% endfor %}";
    let messages: Vec<Json> = (0..2000)
        .map(|n| json!({"role": if n % 2 == 0 { "user" } else { "assistant" }, "content": "word ".repeat(105)}))
        .collect();
    let messages = Json::Array(messages);
    let (text, spent) = render(source, &[("messages", &messages)], &Limits::default());
    assert!(text.unwrap().len() > 1 << 20);
    let limits = Limits::default();
    assert!(spent.fuel < limits.fuel / 20, "{spent:?}");
    assert!(spent.bytes < limits.bytes / 10, "{spent:?}");
}
