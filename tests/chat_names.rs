//! Names that are the same to people are the same to the chat, on every node: as names of public rooms, and where rooms are
//! searched.

use serde_json::{Value, json};

use crate::harness::{Client, Cluster, Plan};

/// Names that are one, each made on another node than the first.
const SAME: [[&str; 2]; 13] = [
    ["Straße", "STRASSE"],
    ["Fußball", "FUẞBALL"],
    ["ﬁnance", "FINANCE"],
    ["µ-lab", "Μ-LAB"],
    ["Muſik", "MUSIK"],
    ["general", "GENERAL"],
    ["ΟΔΟΣ", "οδος"],
    ["ǅungla", "ǆUNGLA"],
    ["İstanbul", "ISTANBUL"],
    ["ısparta", "ISPARTA"],
    ["Zoë’s", "ZOE\u{308}’S"],
    ["Tea Room", "tea\u{a0}\u{a0}room"],
    ["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"],
];
/// Names that are two.
const DIFFERENT: [[&str; 2]; 4] = [["Maße", "Mase"], ["resume", "résumé"], ["tearoom", "tea bar"], ["Öl", "Ol"]];

async fn make(client: &Client, name: &str) -> Result<Value, Value> {
    let answer = client.ask("room:create", &json!({"name": name, "kind": "public"})).answer().await;
    if answer["ok"] == true { Ok(answer["data"].clone()) } else { Err(answer["error"]["code"].clone()) }
}

async fn two(cluster: &Cluster) -> [Client; 2] {
    [Client::guest(cluster.node(0), "Ann").await, Client::guest(cluster.node(1), "Bob").await]
}

on_both! {
    async fn a_public_name_is_taken_in_any_case_and_any_spelling_on_every_node(bus) {
        let cluster = Plan::on(bus).start().await;
        let [ann, bob] = two(&cluster).await;
        for [one, other] in SAME {
            make(&ann, one).await.unwrap_or_else(|code| panic!("{one}: {code}"));
            assert_eq!(make(&bob, other).await.err(), Some(json!("conflict")), "{other} beside {one}");
            assert_eq!(make(&bob, one).await.err(), Some(json!("conflict")), "{one} again");
        }
        for [one, other] in DIFFERENT {
            for name in [one, other] {
                make(&bob, name).await.unwrap_or_else(|code| panic!("{name}: {code}"));
            }
        }
    }
}

/// The names of the rooms that a search finds.
async fn found(client: &Client, query: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut request = json!({"query": query});
        if !cursor.is_null() {
            request["cursor"] = cursor;
        }
        let page = client.ok("room:list", request).await;
        let rooms = page["rooms"].as_array().expect("rooms");
        names.extend(rooms.iter().map(|room| room["name"].as_str().expect("a name").to_owned()));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            names.sort();
            return names;
        }
    }
}

on_both! {
    /// Ann is in all of them, Bob in none: they are found in different ways.
    async fn a_room_is_found_however_its_name_is_written(bus) {
        let cluster = Plan::on(bus).start().await;
        let [ann, bob] = two(&cluster).await;
        for name in ["Hauptstraße", "ΟΔΟΣ Ερμού", "İstanbul", "Zoë", "Ｆｉｎａｎｃｅ", "Maße"] {
            ann.create(name, "public").await;
        }
        for (query, name) in [
            ("STRASSE", "Hauptstraße"),
            ("straße", "Hauptstraße"),
            ("οδος", "ΟΔΟΣ Ερμού"),
            ("οδοσ ΕΡΜ", "ΟΔΟΣ Ερμού"),
            ("istan", "İstanbul"),
            ("ISTAN", "İstanbul"),
            ("zoe\u{308}", "Zoë"),
            ("ZOË", "Zoë"),
            ("finance", "Ｆｉｎａｎｃｅ"),
            ("ﬁn", "Ｆｉｎａｎｃｅ"),
            (" maSSe ", "Maße"),
        ] {
            for client in [&ann, &bob] {
                assert_eq!(found(client, query).await, [name], "{query}");
            }
        }
        assert!(found(&bob, "mase").await.is_empty());
        assert_eq!(found(&bob, "").await.len(), 7, "all, and the lobby");
    }
}
