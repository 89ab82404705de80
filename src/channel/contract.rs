//! What every channel owes, whatever it is told: a body that its receiver can read, within the receiver's limit, in
//! which nobody but the team mentions, links, formats or colours; and no "delivered" that the receiver did not say.

use serde_json::Value;

use super::samples::{Sample, endpoint, robots};
use super::{Limits, Rate, Reply};
use crate::message::{Body, Count, Digest, Fact, Item, Link, Message, Tone};

/// Names, reasons and texts that somebody could give to a job.
const HOSTILE: [&str; 16] = [
    "@all",
    "<@all> <@zhangsan>",
    "<at id=all></at><at user_id=\"all\">all</at>",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "<a href='http://evil.example'>click</a>",
    "</font><font color=\"info\">fine</font>",
    "**bold** __bold__ *it* _it_ ~~s~~ `code` ```\ncode\n```",
    "a\n\n# heading\n> quote\n- item\n---\n| a | b |",
    "a\r\n\u{0}\u{1}\u{7f}\u{85}\u{2028}b",
    "gpj\u{202e}exe.\u{200b}@\u{2066}all\u{feff}",
    "\\[x\\](http://evil.example) \\",
    "&#60;at id=all&#62; &lt;at&gt; &#64;all",
    "\"}],\"at\":{\"isAtAll\":true},\"x\":[{\"",
    "{{ subject.name }} {} {0} %s",
    "<link url='http://evil.example'>x</link> <person id='ou_1'></person> :OK:",
];

/// Texts that fit nowhere.
fn oversize() -> Vec<String> {
    let texts = ["训练失败", "🚀", "👩‍👩‍👧", "\"\\\u{1}", "x", "*[<@>]&", "a_b "];
    texts.iter().map(|text| text.repeat(60_000 / text.len())).collect()
}

/// The value in every place where a message holds one of others.
fn messages(value: &str) -> Vec<Message> {
    let link = Some(Link { label: "Open", url: "https://console.example/job".to_owned() });
    let fact = || Fact { label: "Reason", value: value.to_owned() };
    let item = |n| Item {
        time: "2026-11-24 10:32:05 UTC".to_owned(),
        title: format!("Job {n} {value}"),
        url: (n % 2 == 0).then(|| "https://console.example/job".to_owned()),
    };
    let counts = vec![Count { label: "Job failed".to_owned(), count: 200 }];
    let digest = Digest { counts, items: (0..200).map(item).collect(), more: "… and {} more" };
    let bodies = [Body::Facts(vec![fact(), fact()]), Body::Digest(digest)];
    bodies.map(|body| Message { title: value.to_owned(), body, tone: Tone::Bad, link: link.clone() }).into()
}

/// What people see, and how much of the receiver's room it takes.
fn shown(robot: &Sample, message: &Message) -> String {
    let body = robot.body(message);
    let text = |path: &str| body.pointer(path).and_then(Value::as_str);
    let (path, most) = match robot.name {
        "dingtalk_markdown" => ("/markdown/text", usize::MAX),
        "dingtalk_text" => ("/text/content", usize::MAX),
        "dingtalk_card" => ("/actionCard/text", usize::MAX),
        "wecom_markdown" => ("/markdown/content", 4096),
        "wecom_markdown_v2" => ("/markdown_v2/content", 4096),
        "wecom_text" => ("/text/content", 2048),
        _ => ("/card/body/elements/0/content", usize::MAX),
    };
    let whole = body.to_string().len();
    let shown = text(path).or_else(|| text("/markdown/text")).unwrap_or_else(|| panic!("{body}"));
    assert!(whole < 20_000 && shown.len() <= most, "{}: {whole}, {} of {most}", robot.name, shown.len());
    assert!(!shown.trim().is_empty());
    shown.to_owned()
}

/// What means something to the clients of a robot.
fn powers(name: &str) -> &'static [&'static str] {
    match name {
        "lark" => &["](", "<at", "<a ", "<font", "</font>", "<link", "<person", ":OK:", "**", "`"],
        "dingtalk_text" | "wecom_text" => &["<@", "@all"],
        "wecom_markdown" | "wecom_markdown_v2" => &["](", "<", "@all", "**", "`", "~~"],
        _ => &["](", "<", "@all", " **", " ~~", " `"],
    }
}

#[test]
fn nobody_outside_of_the_team_mentions_links_formats_or_colours() {
    for robot in robots() {
        for value in HOSTILE {
            for message in messages(value) {
                let shown = shown(&robot, &message);
                // Our own colour, link and bold label.
                let own =
                    ["<font color=\"warning\">", "](https://console.example/job)", "**Reason**", "**Job failed**"];
                let others = own.iter().fold(shown.clone(), |text, own| text.replace(own, ""));
                let others = others.replacen("</font>", "", 1);
                for power in powers(robot.name) {
                    assert!(!others.contains(power), "{}: {power} in {shown}", robot.name);
                }
                assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{}: {shown:?}", robot.name);
                assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{2066}', '\u{2028}']), "{}", robot.name);
                for line in shown.lines().filter(|_| !robot.name.ends_with("_text")) {
                    let ours = ["### ", "> ", "- ", "[", "…"].iter().any(|start| line.starts_with(start));
                    assert!(ours || line.is_empty(), "{}: a line of somebody else's: {line}", robot.name);
                }
            }
        }
    }
}

#[test]
fn whatever_the_length_and_script_the_body_is_whole_and_within_the_limit() {
    let url = format!("https://console.example/{}", "a/".repeat(1000));
    for robot in robots() {
        for value in oversize() {
            let mut all = messages(&value);
            all.push(Message {
                title: value.clone(),
                body: Body::Text(value.clone().into()),
                tone: Tone::Warning,
                link: Some(Link { label: "查看", url: url.clone() }),
            });
            for message in all {
                let shown = shown(&robot, &message);
                assert!(shown.contains('…'), "{}: no mark of a cut", robot.name);
                assert!(!shown.contains('\u{fffd}'), "{}: a character was cut in two", robot.name);
            }
        }
    }
}

#[test]
fn a_digest_of_two_hundred_tells_how_many_and_the_newest_and_how_many_more() {
    for robot in robots() {
        let digest = messages("failed: OOMKilled").pop().unwrap();
        let shown = shown(&robot, &digest);
        let items = shown.lines().filter(|line| line.contains("10:32:05")).count();
        assert!(items >= 15, "{}: {items} items", robot.name);
        assert!(shown.contains("Job failed**: 200") || shown.contains("Job failed: 200"), "{shown}");
        assert!(shown.contains("Job 0 failed"), "{shown}");
        assert!(items == 200 || shown.contains(&format!("… and {} more", 200 - items)), "{shown}");
    }
}

#[test]
fn an_empty_message_still_says_something() {
    for robot in robots() {
        let message = Message {
            title: " ".to_owned(),
            body: Body::Text("\n".to_owned().into()),
            tone: Tone::Neutral,
            link: None,
        };
        shown(&robot, &message);
    }
}

#[test]
fn only_a_success_in_the_body_is_a_success_of_a_robot() {
    let garbage = "x".repeat(64 * 1024);
    let deep = "[".repeat(64 * 1024);
    let bodies = [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "0",
        "\"0\"",
        "\"ok\"",
        "ok",
        "success",
        "<html><body>ok</body></html>",
        &garbage,
        &deep,
        "{\"errcode\":null}",
        "{\"code\":null}",
        "{\"code\":null,\"StatusCode\":0}",
        "{\"errcode\":false}",
        "{\"errcode\":0.0,\"code\":0.0}",
        "{\"errcode\":\"\",\"code\":\"\"}",
        "{\"errcode\":\"ok\",\"code\":\"ok\"}",
        "{\"errcode\":\" 0\",\"code\":\"+0\"}",
        "{\"errcode\":\"00\",\"code\":\"-0\"}",
        "{\"errcode\":[0],\"code\":{\"value\":0}}",
        "{\"errcode\":18446744073709551616,\"code\":1e400}",
        "{\"errmsg\":\"ok\",\"msg\":\"success\"}",
        "{\"Errcode\":0,\"Code\":0,\"statuscode\":0}",
        "{\"result\":{\"errcode\":0,\"code\":0}}",
        "[{\"errcode\":0,\"code\":0}]",
        "{\"errcode\":0",
        "{\"errcode\":0}{\"code\":0}",
        "{\"errcode\":0,\"code\":0} trailing",
        "\u{feff}{\"errcode\":0,\"code\":0}",
        "callback({\"errcode\":0,\"code\":0})",
        "{\"errcode\":1,\"code\":1,\"StatusCode\":0}",
    ];
    for robot in robots() {
        for status in [200, 204, 302, 400, 403, 404, 429, 500, 503] {
            for body in bodies {
                let reply = Reply { status, retry_after: None, body: body.as_bytes().to_vec() };
                let outcome = robot.channel().verdict(&reply);
                assert_ne!(outcome.label(), "delivered", "{}: HTTP {status} {body}", robot.name);
                assert!(!outcome.code().is_empty() && !outcome.message().is_empty() || body.contains(":1,"), "{body}");
            }
        }
        let invalid = Reply { status: 200, retry_after: None, body: vec![0xff, 0xfe, 0x00] };
        assert_eq!(robot.channel().verdict(&invalid).code(), "BodyNotUnderstood");
    }
}

#[test]
fn what_a_robot_does_not_explain_is_explained() {
    let tables = [
        ("dingtalk_markdown", &super::dingtalk::reply::VERDICTS),
        ("wecom_markdown", &super::wecom::reply::VERDICTS),
        ("lark", &super::lark::reply::VERDICTS),
    ];
    for (name, table) in tables {
        let robots = robots();
        let robot = robots.iter().find(|robot| robot.name == name).unwrap();
        let (field, _) = table.fields[0];
        for (code, ..) in table.codes.iter().filter(|(code, ..)| *code != 0) {
            let reply = |body: String| Reply { status: 200, retry_after: None, body: body.into_bytes() };
            let outcome = robot.channel().verdict(&reply(format!("{{\"{field}\":{code}}}")));
            assert_eq!(outcome.code(), code.to_string());
            assert!(outcome.message().len() > 8, "{name} {code}");
            assert_eq!(outcome, robot.channel().verdict(&reply(format!("{{\"{field}\":\"{code}\"}}"))), "as a text");
        }
    }
}

#[test]
fn signatures_of_one_key_at_one_time_differ_between_dingtalk_and_lark() {
    for (key, time) in [("demo", "1599360473"), ("this is secret", "1577262236757"), ("SECx", "1767225600000")] {
        assert_ne!(super::dingtalk::sign::signature(key, time), super::lark::sign::signature(key, time));
    }
}

#[test]
fn budgets_and_pauses_are_those_of_the_manuals() {
    let minute = Rate::per_minute;
    let second = Rate { count: 5, window: std::time::Duration::from_secs(1) };
    for robot in robots() {
        let Limits { rates, concurrency, throttle_pause, idempotent, digest, most_attempts } = robot.channel().limits();
        let (expected, pause): (&[Rate], u64) = match robot.channel().name() {
            "DingTalk" => (&[minute(20)], 600),
            "WeCom" => (&[minute(20)], 60),
            _ => (&[minute(100), second], 5),
        };
        assert_eq!((rates, throttle_pause.as_secs()), (expected, pause), "{}", robot.name);
        assert_eq!((concurrency, digest, most_attempts), (1, true, None), "{}", robot.name);
        assert_eq!(idempotent, robot.channel().name() == "DingTalk");
    }
}

#[test]
fn no_channel_shows_a_secret_and_two_robots_are_two_receivers() {
    let mut all = robots();
    all.push(endpoint());
    for sample in &all {
        let shown = format!("{:?}", sample.channel());
        for secret in ["dingtoken", "wecomkey", "larktoken", "signingkey", "events"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let receiver = |name: &str| all.iter().find(|sample| sample.name == name).unwrap().channel().receiver();
    assert_eq!(receiver("wecom_text"), receiver("wecom_markdown"));
    assert!(receiver("wecom_text") != receiver("lark") && receiver("lark") != receiver("dingtalk_text"));
}
