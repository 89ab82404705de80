//! The parameters of a call: all of them stand in the query, and the body is empty.

use super::Service;
use crate::channel::Envelope;
use crate::channel::phone::Number;
use crate::channel::phone::variables::Variables;

/// All values of `TtsParam` together must have fewer characters ("`SingleCallByTts`").
pub(super) const TTS_LIMIT: usize = 250;
/// Longest `OutId` of a voice call, in bytes ("`SingleCallByTts`"). A text message takes more.
const MOST_OUT_ID: usize = 15;
/// How often a call reads the message: once may be missed, and the provider's three times are a nuisance.
const PLAY_TIMES: &str = "2";

/// The action and its parameters.
pub(super) fn call(
    service: &Service,
    number: &Number,
    envelope: &Envelope<'_>,
) -> (&'static str, Vec<(&'static str, String)>) {
    // 11 digits in mainland China, else the country code and the number, without `+` ("SendSms", PhoneNumbers).
    let number = number.mainland().unwrap_or_else(|| number.international()).to_owned();
    let variables = Variables::new(envelope);
    let out_id = out_id(envelope.delivery_id);
    match service {
        Service::Text { sign_name, template_code } => {
            let query = vec![
                ("PhoneNumbers", number),
                ("SignName", sign_name.clone()),
                ("TemplateCode", template_code.clone()),
                ("TemplateParam", variables.each_short()),
                ("OutId", out_id),
            ];
            ("SendSms", query)
        }
        Service::Voice { tts_code, called_show_number } => {
            let mut query = vec![
                ("CalledNumber", number),
                ("TtsCode", tts_code.clone()),
                ("TtsParam", variables.together_below(TTS_LIMIT)),
                ("PlayTimes", PLAY_TIMES.to_owned()),
                ("OutId", out_id),
            ];
            if !called_show_number.is_empty() {
                query.push(("CalledShowNumber", called_show_number.clone()));
            }
            ("SingleCallByTts", query)
        }
    }
}

/// The beginning of the delivery's id, which receipts give back.
fn out_id(delivery_id: &str) -> String {
    let id = delivery_id.strip_prefix("msg_").unwrap_or(delivery_id);
    id.chars().filter(char::is_ascii_alphanumeric).take(MOST_OUT_ID).collect()
}
