//! A chat below a path of a site that has others: all of it is there, and nothing beside it.

use crate::harness::browser::play;
use crate::harness::deployment::Processes;
use crate::harness::{Bus, Plan, run};

async fn get(url: &str) -> (u16, Option<String>, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let answer = client.get(url).send().await.expect("an answer");
    let location = answer.headers().get("location").map(|value| value.to_str().expect("ASCII").to_owned());
    (answer.status().as_u16(), location, answer.text().await.expect("a text"))
}

/// The addresses that a page names.
fn named(page: &str) -> Vec<&str> {
    let after = |attribute: &'static str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    after("src=\"").chain(after("href=\"")).collect()
}

scenario! {
    async fn all_of_a_chat_is_below_its_path_and_nothing_beside_it() {
        let cluster = Plan::on(Bus::Embedded).flag("--base-path", "/team/chat").start().await;
        let site = cluster.node(0).url();
        let (status, _, page) = get(&format!("{site}/team/chat/")).await;
        assert_eq!(status, 200, "{page}");
        let files = named(&page);
        assert!(files.len() >= 3, "{page}");
        for file in files {
            assert!(file.starts_with("./"), "{file} is not relative: {page}");
            assert_eq!(get(&format!("{site}/team/chat/{}", &file[2..])).await.0, 200, "{file}");
        }
        let (status, location, _) = get(&format!("{site}/team/chat")).await;
        assert_eq!((status, location.as_deref()), (308, Some("/team/chat/")), "the page needs the slash");
        let handshake = "socket.io/?EIO=4&transport=polling";
        assert_eq!(get(&format!("{site}/team/chat/{handshake}")).await.0, 200);
        for elsewhere in ["/", "/team/", "/team/chatter", "/theme.js", &format!("/{handshake}")] {
            let (status, _, text) = get(&format!("{site}{elsewhere}")).await;
            assert_eq!(status, 404, "{elsewhere}: {text}");
        }
    }
}

scenario! {
    /// Some proxies take the path off before they pass a request on.
    async fn the_page_works_behind_a_proxy_that_takes_its_path_off() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let (_, _, page) = get(&format!("{}/", cluster.node(0).url())).await;
        assert!(named(&page).iter().all(|file| file.starts_with("./")), "{page}");
    }
}

#[test]
fn people_in_browsers_chat_below_a_path_through_nginx_on_several_nodes() {
    run(async {
        let chat = Processes::start_with("http://allowed.example", &["--base-path", "/team/chat"]).await;
        play("base-path.mjs", &[&chat.url(), "/team/chat"], async |what, which| panic!("@{what} {which}?")).await;
    });
}
