//! Robots resolved.

use super::{Surroundings, TargetError, secret, webhook};
use crate::api::event_target;
use crate::channel::dingtalk::DingTalk;

pub(super) fn dingtalk(spec: &event_target::DingTalk, around: &Surroundings<'_>) -> Result<DingTalk, TargetError> {
    let webhook = webhook("spec.dingTalk.webhook", &spec.webhook, around.secrets);
    let key = secret("spec.dingTalk.signingKey", &spec.signing_key.secret_key_ref, around.secrets)?;
    let mention = spec.mention.clone().unwrap_or_default();
    Ok(DingTalk::new(webhook?, key, mention, spec.format))
}

pub(super) fn wecom(_: &event_target::WeCom, _: &Surroundings<'_>) -> Result<DingTalk, TargetError> {
    Err(TargetError::Invalid { field: "spec.weCom".to_owned(), message: "not built yet".to_owned() })
}

pub(super) fn lark(_: &event_target::Lark, _: &Surroundings<'_>) -> Result<DingTalk, TargetError> {
    Err(TargetError::Invalid { field: "spec.lark".to_owned(), message: "not built yet".to_owned() })
}
