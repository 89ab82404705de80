//! Contacts resolved: one channel per contact and method, through the gateways of the workspace.

use super::{Surroundings, TargetError, Way, legs};
use crate::api::event_target::{Contact, ContactMethod, EventTargetSpec};
use crate::api::workspace::MessageSettings;
use crate::channel::Channel;

/// The channels of a target's contacts, in the order of [`legs`].
pub(super) fn contacts(
    spec: &EventTargetSpec,
    contacts: &[Contact],
    around: &Surroundings<'_>,
) -> Result<Vec<Way>, TargetError> {
    let of_contact = contacts.iter().enumerate().flat_map(|(index, contact)| {
        contact.methods.iter().map(move |method| (format!("spec.contacts[{index}]"), contact, *method))
    });
    legs(spec)
        .into_iter()
        .zip(of_contact)
        .map(|(leg, (field, contact, method))| Ok((Some(leg), channel(&field, contact, method, around)?)))
        .collect()
}

fn channel(
    field: &str,
    _contact: &Contact,
    method: ContactMethod,
    around: &Surroundings<'_>,
) -> Result<Box<dyn Channel>, TargetError> {
    let settings = around.settings.unwrap_or(&MessageSettings { email: None, text_message: None, voice_call: None });
    let missing = match method {
        ContactMethod::Email if settings.email.is_none() => "email",
        ContactMethod::TextMessage if settings.text_message.is_none() => "textMessage",
        ContactMethod::VoiceCall if settings.voice_call.is_none() => "voiceCall",
        _ => {
            return Err(TargetError::Invalid { field: field.to_owned(), message: "not built yet".to_owned() });
        }
    };
    Err(TargetError::SettingsMissing {
        field: field.to_owned(),
        method: method.as_str(),
        workspace: around.workspace.to_owned(),
        setting: missing,
    })
}
