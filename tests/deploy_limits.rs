//! What nginx lets one address have: enough for a school that comes back at once, and no more than that.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::header;

use crate::harness::deployment::Processes;
use crate::harness::{Client, run};

/// People behind one address.
const SCHOOL: usize = 1_000;

/// Somebody who asks from this address, as a proxy that nginx trusts tells it.
struct Stranger {
    http: reqwest::Client,
    address: IpAddr,
}

impl Stranger {
    fn at(address: impl Into<IpAddr>) -> Self {
        Self { http: reqwest::Client::new(), address: address.into() }
    }

    /// Asks so many times, many at once; how often each status was answered, and that a refusal is 503 and says when to
    /// come again.
    async fn ask(&self, url: &str, times: usize) -> [usize; 2] {
        let answers = iter(0..times).map(|_| async {
            let request = self.http.get(url).header("x-forwarded-for", self.address.to_string());
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            if status == 503 {
                assert!(answer.headers().contains_key(header::RETRY_AFTER), "{:?}", answer.headers());
            }
            // To its end, so that the connection is free.
            let _ = answer.bytes().await;
            status
        });
        let mut counts = [0, 0];
        let mut answers = answers.buffer_unordered(100);
        while let Some(status) = answers.next().await {
            match status {
                200 => counts[0] += 1,
                503 => counts[1] += 1,
                other => panic!("{url} is answered {other}"),
            }
        }
        counts
    }
}

#[test]
fn a_school_that_comes_back_at_once_is_let_in_and_a_flood_from_one_address_is_not() {
    run(async {
        let chat = Processes::start("http://allowed.example").await;
        let handshake = format!("{}/socket.io/?EIO=4&transport=polling", chat.url());
        let page = format!("{}/", chat.url());

        // The page, its files, and a connection each.
        let school = Stranger::at(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(school.ask(&page, 3 * SCHOOL).await, [3 * SCHOOL, 0]);
        assert_eq!(school.ask(&handshake, SCHOOL).await, [SCHOOL, 0]);

        let flood = Stranger::at(Ipv4Addr::new(192, 0, 2, 2));
        let [_, refused] = flood.ask(&handshake, 12 * SCHOOL).await;
        assert!(refused > 0, "nobody is refused");
        // Whatever it writes for a session that it does not have.
        let [_, disguised] = flood.ask(&format!("{handshake}&SID=x&xsid=y"), 2 * SCHOOL).await;
        assert!(disguised > 0, "a handshake that looks like a poll");
        println!(
            "of {} handshakes from one address {refused} are refused, of {} more {disguised}",
            12 * SCHOOL,
            2 * SCHOOL
        );

        // Others are not held up meanwhile, nor is the same address' page, nor are those of it who are in.
        assert_eq!(school.ask(&handshake, 10).await, [10, 0]);
        assert_eq!(flood.ask(&page, 10).await, [10, 0]);
        let ann = Client::guest(&chat.front(), "Ann").await;
        ann.fence("lobby", &[]).await;
    });
}
