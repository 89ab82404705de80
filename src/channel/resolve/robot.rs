//! Robots resolved: URL, signing key, and mentions that can work.

use super::{Surroundings, TargetError, secret, webhook};
use crate::api::event_target;
use crate::channel::dingtalk::DingTalk;
use crate::channel::lark::Lark;
use crate::channel::wecom::WeCom;

pub(super) fn dingtalk(spec: &event_target::DingTalk, around: &Surroundings<'_>) -> Result<DingTalk, TargetError> {
    let webhook = webhook("spec.dingTalk.webhook", &spec.webhook, around.secrets);
    let key = secret("spec.dingTalk.signingKey", &spec.signing_key.secret_key_ref, around.secrets)?;
    let mention = spec.mention.clone().unwrap_or_default();
    Ok(DingTalk::new(webhook?, key, mention, spec.format))
}

pub(super) fn wecom(spec: &event_target::WeCom, around: &Surroundings<'_>) -> Result<WeCom, TargetError> {
    let webhook = webhook("spec.weCom.webhook", &spec.webhook, around.secrets)?;
    let mention = spec.mention.clone().unwrap_or_default();
    let digits = |who: &str| who == "@all" || who.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = "is no mobile number as WeCom takes it; write digits alone, without a country code";
    each("spec.weCom.mention.mobiles", &mention.mobiles, digits, wrong)?;
    // "Userid" in the WeCom manual: letters, digits and `_-@.`, at most 64 bytes.
    let id = |who: &str| is_id(who, "_-@.");
    each(
        "spec.weCom.mention.userIds",
        &mention.user_ids,
        id,
        "is no user id; the administrator's contact list has it",
    )?;
    Ok(WeCom::new(webhook, mention, spec.format))
}

pub(super) fn lark(spec: &event_target::Lark, around: &Surroundings<'_>) -> Result<Lark, TargetError> {
    let webhook = webhook("spec.lark.webhook", &spec.webhook, around.secrets)?;
    let field = "spec.lark.signingKey";
    let key = spec.signing_key.as_ref().map(|key| secret(field, &key.secret_key_ref, around.secrets)).transpose()?;
    let mention = spec.mention.clone().unwrap_or_default();
    let id = |who: &str| is_id(who, "_-");
    let wrong = "is no open id (ou_...); a custom robot cannot mention by e-mail address or mobile number";
    each("spec.lark.mention.openIds", &mention.open_ids, id, wrong)?;
    Ok(Lark::new(webhook, key, mention))
}

fn is_id(who: &str, besides: &str) -> bool {
    who.len() <= 64 && who.chars().all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

/// The first one of a list that cannot work, with its place.
fn each(field: &str, list: &[String], works: impl Fn(&str) -> bool, wrong: &str) -> Result<(), TargetError> {
    match list.iter().position(|who| who.is_empty() || !works(who)) {
        Some(place) => Err(TargetError::Invalid { field: format!("{field}[{place}]"), message: wrong.to_owned() }),
        None => Ok(()),
    }
}
