use secrecy::SecretString;

use super::*;

#[test]
fn text_is_cut_between_characters_whatever_the_script() {
    assert_eq!(cut("short", 10), "short");
    for text in ["训练任务失败".repeat(10), "🚀🔥".repeat(20), "aé".repeat(50)] {
        for most in 4..text.len() {
            let cut = cut(&text, most);
            assert!(cut.len() <= most && cut.ends_with('…'), "{most}");
        }
    }
}

#[test]
fn one_value_stays_on_one_line_and_looks_like_what_it_is() {
    let table = [
        ("a\n\n# b\u{0}\tc", "a  # b  c"),
        ("a\u{2028}b\u{85}c", "a b c"),
        // A direction override would show `gpj.exe` as `exe.jpg`.
        ("job\u{202e}gpj.exe\u{202c}", "jobgpj.exe"),
        ("@\u{200b}a\u{200d}l\u{feff}l\u{2066}", "@all"),
        ("a\u{e0041}\u{ad}b", "ab"),
        ("训练 🚀 é", "训练 🚀 é"),
    ];
    for (text, expected) in table {
        assert_eq!(one_line(text), expected, "{text:?}");
    }
}

#[test]
fn a_value_has_no_power_in_the_markup_of_any_channel() {
    let hostile = "[x](http://e) <@all> <at id=all></at> <font color=\"info\">*b* `c` ![i](u) a|b ~~s~~ \\";
    let plain = escape::plain(hostile);
    assert!(!plain.contains('@'), "{plain}");
    let dingtalk = escape::dingtalk(hostile);
    assert!(dingtalk.starts_with("\\[x\\]\\(http://e\\) ＜＠all＞"), "{dingtalk}");
    assert!(dingtalk.ends_with("\\\\"), "{dingtalk}");
    let wecom = escape::wecom(hostile);
    assert!(wecom.starts_with("［x］(http://e) ＜＠all＞ ＜at id=all＞"), "{wecom}");
    assert!(!wecom.contains(['*', '`', '[', ']', '<', '>', '@', '|', '~', '\\']), "{wecom}");
    let lark = escape::lark(hostile);
    assert!(lark.starts_with("&#91;x&#93;&#40;http://e&#41; &#60;@all&#62;"), "{lark}");
    assert!(!lark.contains(['*', '`', '[', ']', '<', '>', '(', ')', '|', '~', '\\', '!']), "{lark}");
}

#[test]
fn a_value_without_markup_reads_as_it_is() {
    let harmless = "Job nightly-42.v1 failed: OOMKilled at 10:32:05, exit code 137, a=b; 训练 50% 🚀";
    for escape in [escape::plain, escape::dingtalk, escape::wecom, escape::lark] {
        assert_eq!(escape(harmless), harmless);
    }
    // Names of labels and reasons have underscores; only DingTalk and Lark could take them for italics.
    assert_eq!(escape::wecom("train_v2_final"), "train_v2_final");
    // An entity in a name is shown as it is written, and a name of an emoji too.
    assert_eq!(escape::lark("&#60;at :OK:"), "&#38;&#35;60;at &#58;OK:");
    assert_eq!(escape::link_target("https://c.example/a(1)"), "https://c.example/a%281%29");
}

fn clean(text: &str) -> String {
    cleaned(text, &["tok/en+1", "abc1", "abc1def2ghi", "two words", "50%25off"].map(SecretString::from))
}

#[test]
fn secrets_are_taken_out_in_every_spelling() {
    let table = [
        ("bad tok/en+1 here", "bad *** here"),
        // Percent-encoded, by different tastes, and twice.
        ("tok%2Fen%2B1 tok%2fen%2b1 %74%6f%6B/en%2B1", "*** *** ***"),
        ("tok%252Fen%252B1", "***"),
        // As in JSON.
        (r"tok\/en+1 tok\u002Fen\u002b1 tok\\/en+1", "*** *** ***"),
        ("two+words two%20words two words", "*** *** ***"),
        ("50%25off 50%2525off", "*** ***"),
        // One secret is the beginning of another.
        ("abc1def2ghi abc1", "*** ***"),
        ("训abc1练", "训***练"),
    ];
    for (text, expected) in table {
        assert_eq!(clean(text), expected, "{text}");
    }
    assert_eq!(cleaned("a bcd", &[SecretString::from("bcd")]), "a bcd");
}

#[test]
fn addresses_and_phone_numbers_are_taken_out() {
    let table = [
        ("from ip: 203.0.113.7, call +8613900000000\nhint", "from ip: ***, call *** hint"),
        ("ip:203.0.113.7:8080", "ip:***:8080"),
        ("ip 010.001.1.1. Port 5 10.0.0.1", "ip ***. Port 5 ***"),
        ("from 2001:db8::1, ip:2001:db8::1. [fe80::1%eth0]:443", "from ***, ip:***. [***%eth0]:443"),
        ("::ffff:203.0.113.7 source:2001:db8:0:0:0:0:0:1", "*** source:***"),
        ("139-0000-0000, 139 0000 0000, (010) 6554-1234", "***, ***, ***"),
        ("+86 139-0000-0000; +65 8123 45", "***; ***"),
        // None of these is one.
        ("at 2026-11-24 10:32:05 in std::fmt", "at 2026-11-24 10:32:05 in std::fmt"),
        ("code 310000, 20 times per minute, v1.30.2", "code 310000, 20 times per minute, v1.30.2"),
        ("exceed max length 4096. invalid", "exceed max length 4096. invalid"),
        ("dead::beef: bad face", "***: bad face"),
        ("a + b (see 3) ++", "a + b (see 3) ++"),
    ];
    for (text, expected) in table {
        assert_eq!(clean(text), expected, "{text}");
    }
}

#[test]
fn links_lose_everything_behind_their_host() {
    let table = [
        (
            "invalid webhook url, hint: [1700000000123456789abcdef], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool/query?e=93000",
            "invalid webhook url, hint: [***], from ip: ***, more info at https://open.work.weixin.qq.com",
        ),
        (r"more: [https:\/\/open.dingtalk.com\/doc?id=7]", "more: [https://open.dingtalk.com]"),
        ("to https://me:pass@a.example:8443/robot/send?access_token=x&sign=y now", "to https://a.example:8443 now"),
        ("详见https://a.example/x?y=1。再试", "详见https://a.example。再试"),
        ("hint:[7] hint: none", "hint: [***] hint: none"),
        ("access_token=zzz&sign=a%2Bb, Key=7 monkey=8 a=b", "access_token=***&sign=***, Key=*** monkey=8 a=b"),
    ];
    for (text, expected) in table {
        assert_eq!(clean(text), expected, "{text}");
    }
}

#[test]
fn what_is_kept_is_short_and_nothing_is_lost_where_there_is_nothing_to_hide() {
    for text in ["x".repeat(70_000), "训".repeat(20_000), "abc1 ".repeat(20_000), "[(+%".repeat(20_000)] {
        assert!(clean(&text).len() <= 256);
    }
    // A secret on the edge of what is read is not half shown.
    for before in 8_180..8_200 {
        assert!(!clean(&format!("{}abc1def2ghi", " ".repeat(before))).contains("abc"), "{before}");
    }
    for text in ["keywords not in content", "关键词不匹配", "sign not match", ""] {
        assert_eq!(clean(text), text);
    }
}
