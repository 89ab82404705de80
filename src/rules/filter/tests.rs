#![allow(clippy::format_collect, reason = "short tests matter more than fast ones")]

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::lifecycle::{EventType, Source, Subject, Transition};

fn event(data: Json, labels: usize) -> Event {
    let mut subject = Subject {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        namespace: "vision".to_owned(),
        name: "夜-42".to_owned(),
        uid: "u".to_owned(),
        ..Subject::default()
    };
    subject.labels = (0..labels).map(|n| (format!("label-{n}"), format!("value-{n}"))).collect();
    subject.labels.insert("app.kubernetes.io/name".to_owned(), "train".to_owned());
    Event {
        id: "e".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: vec![EventType::JobFailed, EventType::JobFinished],
        time: "2026-11-24T10:00:00.5Z".parse().unwrap(),
        observed_time: "2026-11-24T10:00:01Z".parse().unwrap(),
        reason: String::new(),
        message: String::new(),
        subject,
        data: serde_json::from_value(data).unwrap(),
    }
}

fn passes(filter: &str, event: &Event) -> Result<bool, FilterError> {
    Filter::compile(filter).unwrap().passes(&FilterInput::new(event))
}

#[test]
fn a_filter_sees_the_event_and_its_subject() {
    let event = event(json!({"exitCode": 137, "durationSeconds": 61.5, "nested": {"a": [1, 2]}}), 0);
    let table = [
        ("event.reason == ''", Ok(true)),
        ("event.message.size() == 0", Ok(true)),
        ("event.source == 'DLCJob' && event.transition == 'Failed'", Ok(true)),
        ("'JobTimeout' in event.events", Ok(false)),
        ("event.events[0] == 'JobFailed'", Ok(true)),
        ("event.data.exitCode in [1, 137]", Ok(true)),
        ("event.data.durationSeconds > 60.0", Ok(true)),
        ("event.data.nested.a.exists(x, x == 2)", Ok(true)),
        ("event.data.nested.a.all(event, event > 0)", Ok(true)),
        ("event.data.exitCode + 1 - 2 * 60 / 60 == 136", Ok(true)),
        ("has(event.data.node)", Ok(false)),
        ("'node' in event.data || event.data.exitCode == 137", Ok(true)),
        ("subject.labels['app.kubernetes.io/name'].startsWith('tr')", Ok(true)),
        ("subject.name.matches('^夜-[0-9]+$')", Ok(true)),
        ("subject.apiVersion == 'batch/v1' && subject.kind == 'Job'", Ok(true)),
        ("timestamp(event.time) == timestamp('2026-11-24T10:00:00.5Z')", Ok(true)),
        ("timestamp(event.observedTime) - timestamp(event.time) < duration('1s')", Ok(true)),
        ("timestamp(event.time).getHours('Asia/Shanghai') == 18", Ok(true)),
        ("timestamp(event.time).getDayOfWeek() in [0, 6]", Ok(false)),
        ("type(event.data.exitCode) == int", Ok(true)),
        ("string(event.data.exitCode) == '137' // a comment", Ok(true)),
        ("event.data.nope == 1 || true", Ok(true)),
        ("event.data.nope == 1 && false", Ok(false)),
    ];
    for (filter, expected) in table {
        assert_eq!(passes(filter, &event), expected, "{filter}");
    }
}

#[test]
fn a_filter_that_fails_says_which_and_why() {
    let event = event(json!({}), 0);
    let table = [
        ("subject.labels['tier'] == 'gold'", "the filter `subject.labels['tier'] == 'gold'` failed: No such key: tier"),
        ("event.reason", "the filter `event.reason` gave string where true or false is needed"),
        ("event.data.exitCode > 1", "No such key: exitCode"),
        ("1 / 0 == 1", "Division by zero"),
        ("event.time > 3", "failed: "),
        ("event.events[7] == 'x'", "failed: "),
        ("event.reason.matches('(')", "failed: "),
        ("timestamp(event.reason) > timestamp(0)", "failed: "),
    ];
    for (filter, expected) in table {
        let error = passes(filter, &event).unwrap_err().to_string();
        assert!(error.contains(expected), "{filter}: {error}");
    }
}

#[test]
fn what_does_not_compile_is_named_with_line_and_column_and_reads_like_advice() {
    let table = [
        ("event.reason ==", (1, 16), "the expression ends here, where more is needed"),
        ("", (1, 1), "the filter is empty; leave it out to match every event"),
        (" \n ", (1, 1), "the filter is empty; leave it out to match every event"),
        ("event.reason = 'x'", (1, 14), "= is no operator; write == to compare"),
        ("true &&\n  nope.a == 1", (2, 3), "there is no variable nope; there are event and subject"),
        ("'夜🚀' == reason", (1, 9), "there is no variable reason; write event.reason"),
        ("'夜🚀' = event.reason", (1, 6), "= is no operator"),
        ("labels.tier == 'gold'", (1, 1), "there is no variable labels; write subject.labels"),
        ("[1].exists(x, x == y)", (1, 20), "there is no variable y; there are event and subject"),
        ("[1].exists(x, true) && x == 1", (1, 24), "there is no variable x; there are event and subject"),
        ("event.labels.tier == 'x'", (1, 6), "event has no field labels; it has id, source, "),
        ("subject.annotations.x == 'x'", (1, 8), "subject has no field annotations; it has apiVersion, "),
        ("has(event.oops)", (1, 4), "event has no field oops; it has id, "),
        ("event.reason.startWith('x')", (1, 23), "there is no function startWith; there are bool, "),
        ("now() == 1", (1, 4), "there is no function now; "),
        ("event.events.exists('x')", (1, 20), "exists is not used like this; "),
        ("Job{name: 'x'} == subject", (1, 4), "there is no type Job"),
        ("event.reason == 'x", (1, 17), "token recognition error"),
        ("1 +\n 2 +\n )", (3, 2), "mismatched input ')'"),
        ("has(event)", (1, 5), "invalid argument to has() macro"),
        ("event.?reason.orValue('') == ''", (1, 6), "unsupported syntax"),
    ];
    for (filter, place, expected) in table {
        let error = Filter::compile(filter).unwrap_err();
        assert!(error.message.starts_with(expected), "{filter}: {error}");
        assert_eq!((error.line, error.column), place, "{filter}: {error}");
        assert!(error.message.chars().count() < 420, "{error}");
    }
}

#[test]
fn every_function_that_is_said_to_exist_does() {
    let timestamps = [
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
    ];
    for function in timestamps {
        assert_eq!(passes(&format!("timestamp(event.time).{function}() >= 0"), &event(json!({}), 0)), Ok(true));
    }
    let others = [
        "bool('true')",
        "bytes('a') == b'a'",
        "'a'.contains('a')",
        "double(1) == 1.0",
        "dyn(1) == 1",
        "duration('1s') == duration('1s')",
        "'a'.endsWith('a')",
        "int('1') == 1",
        "'a'.matches('a')",
        "size('a') == 1",
        "'a'.startsWith('a')",
        "string(1) == '1'",
        "timestamp(0) == timestamp(0)",
        "type(1) == type(2)",
        "uint(1) == 1u",
    ];
    for filter in others {
        assert_eq!(passes(filter, &event(json!({}), 0)), Ok(true), "{filter}");
    }
}

/// Compiles and evaluates on a thread with half the stack that tokio's threads have.
fn survives(filter: String) -> Option<Result<bool, FilterError>> {
    let work = move || {
        let filter = Filter::compile(&filter).ok()?;
        Some(filter.passes(&FilterInput::new(&event(json!({"list": vec![1; 300]}), 40))))
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap()
}

#[test]
fn a_hostile_filter_is_refused_or_evaluated_but_overflows_no_stack() {
    let around = |depth: usize, open: &str, inner: &str, close: &str| open.repeat(depth) + inner + &close.repeat(depth);
    let hostile = [
        "(".repeat(4096),
        "[".repeat(4096),
        "{".repeat(4096),
        around(2047, "(", "1", ")"),
        around(2047, "[", "1", "]"),
        around(90, "(", &format!("1{}", "+1".repeat(398)), ")"),
        around(30, "(", &format!("1{}", "+1".repeat(360)), "+1"),
        around(30, "[1].all(a, ", &format!("1{} > 0", "+1".repeat(300)), ")"),
        around(16, "[1].all(a, size([", "1", "]) > 0)"),
        around(90, "[1].all(a, ", "true", ")"),
        around(60, "[1].exists(a, a + 1 > ", "1", ")"),
        around(300, "has(", "event.data.a", ")"),
        around(90, "size([", "1", "])"),
        format!("{}true", "!".repeat(4000)),
        format!("{}true", "! ".repeat(2000)),
        format!("{}1 < 0", "-".repeat(4000)),
        format!("1{} > 0", "+1".repeat(2000)),
        format!("1{}", "<1".repeat(2000)),
        format!("1{}", " in 1".repeat(800)),
        format!("1{}", "\tin\n1".repeat(800)),
        format!("1{}", " in[1]".repeat(600)),
        format!("event{}", ".data".repeat(800)),
        format!("event.data{}", "[0]".repeat(1300)),
        format!("event{}", ".size()".repeat(500)),
        format!("{}true", "true ? true : ".repeat(290)),
        format!("true{}", " || true".repeat(500)),
        format!("true{}", "&&true".repeat(680)),
        format!("[{}1].size() > 0", "1,".repeat(2000)),
        format!("{{{}0: 0}}.size() > 0", (1..600).map(|n| format!("{n}:1,")).collect::<String>()),
        "\"".repeat(4095),
        "'".repeat(4096),
        "`".repeat(4096),
        "\\".repeat(4096),
        "'\u{0}'".to_owned(),
        "🚀".repeat(4000),
        "a".repeat(5000),
        "'\\u12'".to_owned(),
        "{1:2}{".to_owned(),
        "-(-9223372036854775808) > 0".to_owned(),
        "99999999999999999999999999 > 0".to_owned(),
        "timestamp(9223372036854775807) > timestamp(0)".to_owned(),
        "duration('9223372036854775807h') > duration('1s')".to_owned(),
    ];
    for filter in hostile {
        survives(filter);
    }
    assert_eq!(survives(format!("true{}", " || event.reason == 'x'".repeat(170))), Some(Ok(true)));
    assert_eq!(survives(format!("1{} > 0", "+1".repeat(398))), Some(Ok(true)));
}

#[test]
fn a_filter_that_could_take_long_or_grow_large_is_refused() {
    let nested = |depth: usize, range: &str| (0..depth).map(|n| format!("{range}.all(x{n}, ")).collect::<String>();
    let expensive = [
        nested(20, "[1,2,3,4,5,6,7,8,9,10]") + "true" + &")".repeat(20),
        nested(4, "subject.labels") + "true" + &")".repeat(4),
        // Each of these doubles what the one before made.
        format!("[['a','b']]{}.size() > 0", ".map(a, a + a)".repeat(60)),
        format!("[1]{}.size() > 0", ".map(a, [a, a])".repeat(60)),
        (0..30)
            .map(|n| format!("[x{}+x{}].exists(x{}, ", n, n, n + 1))
            .collect::<String>()
            .replacen("x0+x0", "'ab'", 1)
            + "true"
            + &")".repeat(30),
        format!("[{}1].all(a, [{}1].all(b, a.matches('x') || b.matches('x')))", "1,".repeat(300), "1,".repeat(300)),
    ];
    for filter in expensive {
        let error = Filter::compile(&filter).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("the filter could take too long"), "{filter}: {error}");
    }
}

#[test]
fn what_people_write_is_not_refused_as_expensive() {
    let list = (0..100).map(|n| format!("'node-{n}'")).collect::<Vec<_>>().join(", ");
    let event = event(json!({}), 30);
    let filters = [
        format!("!(subject.name in [{list}])"),
        format!("[{list}].exists(n, subject.name.startsWith(n)) || true"),
        "subject.labels.exists(k, k.startsWith('label-') && subject.labels[k] == 'value-7')".to_owned(),
        "subject.labels.exists(k, event.events.exists(e, e == subject.labels[k])) || true".to_owned(),
        "event.events.filter(e, e != 'JobFailed').map(e, e.size()).exists(n, n > 3)".to_owned(),
        (0..60).map(|n| format!("subject.name.matches('^a{n}-.*$') || ")).collect::<String>() + "true",
    ];
    for filter in filters {
        let start = Instant::now();
        assert_eq!(passes(&filter, &event), Ok(true), "{filter}");
        assert!(start.elapsed() < Duration::from_secs(2), "{filter}");
    }
}

#[test]
fn on_an_event_with_much_in_it_the_cost_is_looked_at_again() {
    let large = event(json!({"a": vec![1; 2000]}), 0);
    let twice = "event.data.a.exists(x, event.data.a.exists(y, x + y == 5))";
    assert_eq!(passes(twice, &event(json!({"a": [1, 4]}), 0)), Ok(true));
    let start = Instant::now();
    assert_eq!(passes(twice, &large), Err(FilterError::TooExpensive { filter: twice.to_owned() }));
    assert_eq!(passes("event.data.a.exists(x, x == 2)", &large), Ok(false));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_filter_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&Filter::compile("true").unwrap());
}
