//! The parameters of `SendSms` and `SingleCallByTts`, and what the actions say about them.

use serde_json::{Map, Value, json};

use super::super::inspect::{Incoming, Refusal};
use super::{Budget, Named, Template, Understood};

const MOST_NUMBERS: usize = 1000;
/// All values of a call together have to be shorter.
const SPOKEN: usize = 250;
/// Any action takes these.
const COMMON: [&str; 4] = ["RegionId", "OwnerId", "ResourceOwnerAccount", "ResourceOwnerId"];
const SMS: [&str; 6] = ["PhoneNumbers", "SignName", "TemplateCode", "TemplateParam", "OutId", "SmsUpExtendCode"];
const CALL: [&str; 8] =
    ["CalledNumber", "CalledShowNumber", "TtsCode", "TtsParam", "PlayTimes", "Volume", "Speed", "OutId"];

/// Parameters of one request.
pub(super) struct Parameters(Named);

/// A refusal by an action, which is inside of HTTP 200.
pub(super) fn isv(code: &str, words: &str) -> Refusal {
    (200, format!("isv.{code}: {words}"))
}

impl Parameters {
    /// From the query, and from a body that is a form.
    pub(super) fn read(request: &Incoming<'_>) -> Result<Self, Refusal> {
        let mut named = request.query.clone();
        if request.media_type() == "application/x-www-form-urlencoded" {
            named.extend(url::form_urlencoded::parse(request.body).into_owned());
        } else if !request.body.is_empty() {
            return Err((400, "InvalidContentType: The body is no form.".to_owned()));
        }
        Ok(Self(named))
    }

    /// As the message shows them.
    pub(super) fn into_json(self) -> Value {
        json!(self.0)
    }

    /// Numbers and variables of a text message.
    pub(super) fn of_sms<'a>(
        &self,
        sign_name: &str,
        template: &Template,
        budget: &'a Budget,
    ) -> Result<Understood<'a>, Refusal> {
        self.only(&SMS)?;
        let numbers: Vec<&str> = self.needed("PhoneNumbers")?.split(',').collect();
        let (given_sign, code) = (self.needed("SignName")?, self.needed("TemplateCode")?);
        if numbers.len() > MOST_NUMBERS {
            return Err(isv("MOBILE_COUNT_OVER_LIMIT", "手机号码数量超过限制"));
        }
        let numbers = numbers.into_iter().map(number).collect::<Result<_, _>>()?;
        if given_sign != sign_name {
            return Err(isv("SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名"));
        }
        if code != template.code {
            return Err(isv("SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板"));
        }
        let variables = self.variables("TemplateParam", template)?;
        Ok((numbers, variables, budget))
    }

    /// Number and variables of a call.
    pub(super) fn of_call<'a>(
        &self,
        show_number: Option<&str>,
        template: &Template,
        budget: &'a Budget,
    ) -> Result<Understood<'a>, Refusal> {
        self.only(&CALL)?;
        let called = number(self.needed("CalledNumber")?)?;
        let code = self.needed("TtsCode")?;
        if self.0.get("CalledShowNumber").map(String::as_str) != show_number {
            return Err(isv("DISPLAY_NUMBER_ILLEGAL", "号显不合法"));
        }
        if code != template.code {
            return Err(isv("TTS_TEMPLATE_ILLEGAL", "该账号下找不到对应文本转语音模板"));
        }
        self.within("PlayTimes", 1, 3)?;
        self.within("Volume", 0, 100)?;
        self.within("Speed", -500, 500)?;
        if self.0.get("OutId").is_some_and(|id| id.is_empty() || id.len() > 15) {
            return Err(isv("INVALID_PARAMETERS", "OutId不合法"));
        }
        let variables = self.variables("TtsParam", template)?;
        let spoken: usize = variables.values().filter_map(Value::as_str).map(|value| value.chars().count()).sum();
        if spoken >= SPOKEN {
            return Err(isv("PARAM_LENGTH_LIMIT", "参数超出长度限制"));
        }
        Ok((vec![called], variables, budget))
    }

    fn needed(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.0.get(name).map(String::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| (400, format!("Missing{name}: {name} is mandatory for this action.")))
    }

    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let unknown = |name: &&String| !known.contains(&name.as_str()) && !COMMON.contains(&name.as_str());
        match self.0.keys().find(unknown) {
            Some(name) => Err(isv("INVALID_PARAMETERS", &format!("参数异常: {name}"))),
            None => Ok(()),
        }
    }

    fn within(&self, name: &str, least: i64, most: i64) -> Result<(), Refusal> {
        let Some(value) = self.0.get(name) else { return Ok(()) };
        let fine = value.parse().is_ok_and(|value| (least..=most).contains(&value));
        if fine { Ok(()) } else { Err(isv("INVALID_PARAMETERS", &format!("{name}不合法"))) }
    }

    /// An object of texts, with every variable of the template and no address of a page.
    fn variables(&self, name: &str, template: &Template) -> Result<Map<String, Value>, Refusal> {
        let variables = match self.0.get(name) {
            None => Map::new(),
            Some(text) => match serde_json::from_str(text) {
                Ok(Value::Object(variables)) if variables.values().all(Value::is_string) => variables,
                _ => return Err(isv("INVALID_JSON_PARAM", "JSON参数不合法，只接受字符串值")),
            },
        };
        let filled = |name: &String| variables.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !template.variables.iter().all(filled) {
            return Err(isv("TEMPLATE_MISSING_PARAMETERS", "模板缺少变量"));
        }
        let leads = |text: &str| ["http://", "https://", "www."].iter().any(|mark| text.contains(mark));
        if variables.values().filter_map(Value::as_str).any(|text| leads(&text.to_ascii_lowercase())) {
            return Err(isv("PARAM_NOT_SUPPORT_URL", "变量不支持传入URL"));
        }
        Ok(variables)
    }
}

/// A number of the mainland (11 digits, with or without the country in front) without the country, or one from abroad
/// with its country.
fn number(text: &str) -> Result<String, Refusal> {
    let mobile = |digits: &str| {
        let mut bytes = digits.bytes();
        digits.len() == 11 && bytes.next() == Some(b'1') && bytes.next().is_some_and(|second| second >= b'3')
    };
    let illegal = || isv("MOBILE_NUMBER_ILLEGAL", "非法手机号");
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(illegal());
    }
    let at_home = ["0086", "86", ""].into_iter().filter_map(|country| digits.strip_prefix(country));
    if let Some(home) = at_home.into_iter().find(|rest| mobile(rest)) {
        return Ok(home.to_owned());
    }
    let abroad = digits.strip_prefix("00").unwrap_or(digits);
    let plausible = (8..=15).contains(&abroad.len()) && !abroad.starts_with(['0', '1']) && !abroad.starts_with("86");
    let america = abroad.len() == 11 && abroad.starts_with('1');
    if plausible || america { Ok(abroad.to_owned()) } else { Err(illegal()) }
}
