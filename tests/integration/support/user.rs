//! A user of the ticketing API.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::eventually;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The status and the code of a problem document, which must be well-formed.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{}", self.text);
        assert_eq!(
            problem["traceId"].as_str(),
            self.header("x-trace-id"),
            "{}",
            self.text
        );
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// Asserts a refusal with this status and code.
#[macro_export]
macro_rules! assert_refused {
    ($answer:expr, $status:literal, $code:literal) => {{
        let answer = $answer;
        assert_eq!(
            answer.problem(),
            ($status, $code.to_owned()),
            "{}",
            answer.text
        );
    }};
}

#[derive(Clone, Debug)]
pub struct User {
    client: Client,
    api: String,
    pub id: i64,
    pub token: Option<String>,
    pub place: u64,
}

impl User {
    pub fn new(api: &str, id: i64) -> User {
        let client = concertctl::http_client::builder()
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .unwrap();
        User {
            client,
            api: api.to_owned(),
            id,
            token: None,
            place: 0,
        }
    }

    /// The same user at another server.
    pub fn at(&self, api: &str) -> User {
        User {
            api: api.to_owned(),
            ..self.clone()
        }
    }

    /// A call with this user's token, if there is one.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let call = self.client.request(method, format!("{}{path}", self.api));
        match &self.token {
            Some(token) => call.header("wait-token", token),
            None => call,
        }
    }

    pub async fn send(call: RequestBuilder) -> Answer {
        let response = call.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        User::send(self.call(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        User::send(self.call(Method::POST, path).json(&body)).await
    }

    /// A keyed call that is repeated while its outcome is unknown, as the documentation says.
    pub async fn post_keyed(&self, path: &str, key: &str, body: Value) -> Answer {
        eventually("the outcome is known", || async {
            let call = self.call(Method::POST, path).header("idempotency-key", key);
            let answer = User::send(call.json(&body)).await;
            let is_unknown = answer.status == 503 && answer.problem().1 == "outcome.unknown";
            (!is_unknown).then_some(answer)
        })
        .await
    }

    pub async fn register(&mut self) -> Answer {
        let answer = self.post("/queue", json!({ "userId": self.id })).await;
        if answer.status == 201 {
            self.token = answer.header("wait-token").map(ToOwned::to_owned);
            self.place = answer.json()["waitId"].as_u64().unwrap();
        }
        answer
    }

    pub async fn poll(&self) -> Answer {
        self.get("/queue").await
    }

    pub async fn queue_status(&self) -> String {
        self.poll().await.json()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub async fn until_active(&self) {
        eventually("the user is admitted", || async {
            (self.queue_status().await == "ACTIVE").then_some(())
        })
        .await;
    }

    pub async fn reserve(&self, seat: i64) -> Answer {
        self.post(
            "/reservations",
            json!({ "userId": self.id, "seatId": seat }),
        )
        .await
    }

    /// Reserves a seat; returns the id of the reservation.
    pub async fn reserved(&self, seat: i64) -> i64 {
        let answer = self.reserve(seat).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["reservationId"].as_i64().unwrap()
    }

    pub async fn cancel(&self, reservation: i64) -> Answer {
        User::send(self.call(Method::DELETE, &format!("/reservations/{reservation}"))).await
    }

    pub async fn charge(&self, amount: Value) -> Answer {
        self.post(
            &format!("/accounts/{}/charge", self.id),
            json!({ "amount": amount }),
        )
        .await
    }

    pub async fn pay(&self, reservation: i64) -> Answer {
        let path = format!("/users/{}/reservations/{reservation}/pay", self.id);
        User::send(self.call(Method::POST, &path)).await
    }

    /// The metrics of the server whose operations listener is at `ops_url`.
    pub async fn metrics(&self, ops_url: &str) -> String {
        User::new(ops_url, 0).get("/metrics").await.text
    }

    /// The status of a seat on the seat map.
    pub async fn seat_status(&self, date: i64, seat: i64) -> String {
        let map = self
            .get(&format!("/concerts/1/performanceDates/{date}/seats"))
            .await
            .json();
        let all = ["availableSeats", "unavailableSeats"]
            .map(|side| map[side].as_array().unwrap().clone());
        let found = all
            .iter()
            .flatten()
            .find(|row| row["id"] == seat)
            .expect("the seat is on the map");
        found["status"].as_str().unwrap().to_owned()
    }
}
