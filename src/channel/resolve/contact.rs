//! Contacts resolved: one channel per contact and method, through the gateways of the workspace.

use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Surroundings, TIMEOUT, TargetError, Way, legs, secret};
use crate::api::event_target::{Contact, ContactMethod, EventTargetSpec, SecretKeyReference, SecretReference};
use crate::api::workspace::{AliyunText, AliyunVoice, MessageSettings, Smtp, SmtpSecurity};
use crate::channel::Channel;
use crate::channel::client::mail::{Credentials, Server, Trust};
use crate::channel::email::Email;
use crate::channel::phone::aliyun::{self, Aliyun, Keys, Service};
use crate::channel::phone::{Method, Number, Phone};
use crate::channel::text::one_line;

/// The channels of a target's contacts, in the order of [`legs`].
pub(super) fn contacts(
    spec: &EventTargetSpec,
    contacts: &[Contact],
    around: &Surroundings<'_>,
) -> Result<Vec<Way>, TargetError> {
    let none = MessageSettings::default();
    let timeout = spec.delivery.as_ref().and_then(|delivery| delivery.timeout).map_or(TIMEOUT, Duration::from);
    let gateways = Gateways { around, settings: around.settings.unwrap_or(&none), timeout };
    let of_contact = contacts.iter().enumerate().flat_map(|(index, contact)| {
        contact.methods.iter().map(move |method| (format!("spec.contacts[{index}]"), contact, *method))
    });
    legs(spec)
        .into_iter()
        .zip(of_contact)
        .map(|(leg, (field, contact, method))| Ok((Some(leg), gateways.channel(&field, contact, method)?)))
        .collect()
}

/// What a workspace has for its contacts.
struct Gateways<'a> {
    around: &'a Surroundings<'a>,
    settings: &'a MessageSettings,
    timeout: Duration,
}

impl Gateways<'_> {
    fn channel(&self, field: &str, contact: &Contact, method: ContactMethod) -> Result<Box<dyn Channel>, TargetError> {
        let missing = |setting| TargetError::SettingsMissing {
            field: field.to_owned(),
            method: method.as_str(),
            workspace: self.around.workspace.to_owned(),
            setting,
        };
        let MessageSettings { email, text_message, voice_call } = self.settings;
        match method {
            ContactMethod::Email => {
                let settings = email.as_ref().ok_or_else(|| missing("email"))?;
                let to = recipient(field, contact)?;
                Ok(Box::new(self.email(&settings.smtp, to)?))
            }
            ContactMethod::TextMessage => {
                let settings = text_message.as_ref().ok_or_else(|| missing("textMessage"))?;
                let settings = settings.aliyun.as_ref().ok_or_else(|| missing("textMessage.aliyun"))?;
                let number = number(field, contact)?;
                Ok(Box::new(Phone::new(Method::Text, number, self.text(settings)?)))
            }
            ContactMethod::VoiceCall => {
                let settings = voice_call.as_ref().ok_or_else(|| missing("voiceCall"))?;
                let settings = settings.aliyun.as_ref().ok_or_else(|| missing("voiceCall.aliyun"))?;
                let number = number(field, contact)?;
                Ok(Box::new(Phone::new(Method::Voice, number, self.voice(settings)?)))
            }
        }
    }

    fn email(&self, smtp: &Smtp, to: Mailbox) -> Result<Email, TargetError> {
        let Smtp { host, port, security, from, credentials_ref, ca_ref } = smtp;
        let credentials = credentials_ref.as_ref().map(|reference| {
            let field = self.field("email.smtp.credentialsRef");
            let username = self.secret(&field, reference, "username")?;
            let password = self.secret(&field, reference, "password")?;
            Ok(Credentials { username, password })
        });
        let trust = ca_ref.as_ref().map(|reference| {
            let field = self.field("email.smtp.caRef");
            let reference = SecretKeyReference { name: reference.name.clone(), key: reference.key.clone() };
            let pem = secret(&field, &reference, self.around.secrets)?;
            Trust::only(pem.expose_secret()).map_err(|error| {
                let message = format!("key {} of Secret {} {error}", reference.key, reference.name);
                TargetError::Invalid { field, message }
            })
        });
        let server = Server {
            host: self.smtp_host(host)?,
            port: self.smtp_port(*port, *security)?,
            security: *security,
            credentials: credentials.transpose()?,
            trust: trust.transpose()?.unwrap_or_default(),
            // The rest is for the handover.
            patience: self.timeout * 4 / 5,
        };
        let from = mailbox(from).ok_or_else(|| {
            self.invalid("email.smtp.from", "must be an ASCII address such as PAI <pai@example.com> or pai@example.com")
        })?;
        Ok(Email::new(server, from, to))
    }

    /// `[::1]` without its brackets.
    fn smtp_host(&self, host: &str) -> Result<String, TargetError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match url::Host::parse(host) {
            Ok(_) => Ok(bare.to_owned()),
            Err(_) if bare.parse::<std::net::Ipv6Addr>().is_ok() => Ok(bare.to_owned()),
            Err(_) => {
                Err(self.invalid("email.smtp.host", "must be a host name or an address, without a scheme and a port"))
            }
        }
    }

    fn smtp_port(&self, port: Option<i32>, security: SmtpSecurity) -> Result<u16, TargetError> {
        let default = match security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::None => 25,
        };
        let port = port.map_or(Ok(default), u16::try_from).ok().filter(|port| *port > 0);
        port.ok_or_else(|| self.invalid("email.smtp.port", "must be a port from 1 to 65535"))
    }

    fn text(&self, settings: &AliyunText) -> Result<Aliyun, TargetError> {
        let AliyunText { endpoint, sign_name, template_code, credentials_ref } = settings;
        let service = Service::Text { sign_name: sign_name.clone(), template_code: template_code.clone() };
        self.aliyun("textMessage.aliyun", endpoint, credentials_ref, service)
    }

    fn voice(&self, settings: &AliyunVoice) -> Result<Aliyun, TargetError> {
        let AliyunVoice { endpoint, tts_code, called_show_number, credentials_ref } = settings;
        let service = Service::Voice { tts_code: tts_code.clone(), called_show_number: called_show_number.clone() };
        self.aliyun("voiceCall.aliyun", endpoint, credentials_ref, service)
    }

    fn aliyun(
        &self,
        setting: &str,
        endpoint: &str,
        credentials: &SecretReference,
        service: Service,
    ) -> Result<Aliyun, TargetError> {
        let endpoint =
            aliyun::endpoint(endpoint).map_err(|error| self.invalid(&format!("{setting}.endpoint"), error))?;
        let setting = format!("{setting}.credentialsRef");
        let field = self.field(&setting);
        let id = self.secret(&field, credentials, "accessKeyId")?;
        let key = self.secret(&field, credentials, "accessKeySecret")?;
        let token = match self.secret(&field, credentials, "securityToken") {
            Ok(token) => Some(token),
            Err(TargetError::SecretKeyMissing { .. }) => None,
            Err(error) => return Err(error),
        };
        let keys = Keys::new(id, key, token).map_err(|key| {
            let name = &credentials.name;
            self.invalid(
                &setting,
                &format!("key {key} of Secret {name} has spaces or other characters that no key has"),
            )
        })?;
        Ok(Aliyun::new(endpoint, keys, service))
    }

    fn secret(&self, field: &str, reference: &SecretReference, key: &str) -> Result<SecretString, TargetError> {
        let reference = SecretKeyReference { name: reference.name.clone(), key: key.to_owned() };
        secret(field, &reference, self.around.secrets)
    }

    /// A field of the workspace's settings, as it stands in an error.
    fn field(&self, setting: &str) -> String {
        format!("Workspace {} spec.messageSettings.{setting}", self.around.workspace)
    }

    fn invalid(&self, setting: &str, message: &str) -> TargetError {
        TargetError::Invalid { field: self.field(setting), message: message.to_owned() }
    }
}

fn number(field: &str, contact: &Contact) -> Result<Number, TargetError> {
    let field = format!("{field}.phone");
    match contact.phone.as_deref().map(Number::parse) {
        Some(Ok(number)) => Ok(number),
        Some(Err(error)) => Err(TargetError::Invalid { field, message: error.to_string() }),
        None => Err(TargetError::Invalid { field, message: "VoiceCall and TextMessage need a phone".to_owned() }),
    }
}

fn recipient(field: &str, contact: &Contact) -> Result<Mailbox, TargetError> {
    let invalid = |message: &str| TargetError::Invalid { field: format!("{field}.email"), message: message.to_owned() };
    let text = contact.email.as_deref().ok_or_else(|| invalid("Email needs an email"))?;
    let address = address(text)
        .ok_or_else(|| invalid("must be one ASCII address such as li@example.com; write another domain as xn--..."))?;
    let name = one_line(&contact.name);
    Ok(Mailbox::new(Some(name).filter(|name| !name.is_empty()), address))
}

/// A mailbox with or without a name in front.
fn mailbox(text: &str) -> Option<Mailbox> {
    let text = text.trim();
    let Some((name, rest)) = text.rsplit_once('<') else { return address(text).map(Mailbox::from) };
    let address = address(rest.strip_suffix('>')?.trim())?;
    let name = one_line(name.trim().trim_matches('"'));
    Some(Mailbox::new(Some(name).filter(|name| !name.is_empty()), address))
}

/// ASCII only: many servers take no other addresses.
fn address(text: &str) -> Option<Address> {
    text.parse::<Address>().ok().filter(|_| text.is_ascii())
}

#[cfg(test)]
mod tests;
