//! The Ingress in a controller that people have: Traefik, which reads the annotations of ingress-nginx.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::header::{COOKIE, HOST, HeaderMap, HeaderValue, SET_COOKIE};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::harness::control_plane::{Cluster, Namespace, run};
use crate::harness::operator::{Operator, chat_cluster, nodes, until_condition};
use crate::harness::polling::Polling;
use crate::harness::traefik::Traefik;
use crate::harness::{Client, Connect, Node, Refusal, until};

const NAME: &str = "chat.example.com";
const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// What Traefik does with an annotation.
enum Effect {
    /// It is found again there in what it says of its configuration, as this.
    Seen(&'static str, &'static str),
    /// It has an effect, which Traefik's configuration does not show.
    Unseen,
    /// It does nothing.
    Nothing,
}

/// Every annotation that the operator writes.
const ANNOTATIONS: &[(&str, Effect)] = &[
    ("affinity", Effect::Seen("/service/sticky/cookie/httpOnly", "true")),
    // Persistent is all that Traefik can.
    ("affinity-mode", Effect::Nothing),
    ("session-cookie-name", Effect::Seen("/service/sticky/cookie/name", "\"chatlb\"")),
    ("session-cookie-max-age", Effect::Seen("/service/sticky/cookie/maxAge", "86400")),
    ("session-cookie-expires", Effect::Unseen),
    ("session-cookie-path", Effect::Seen("/service/sticky/cookie/path", "\"/\"")),
    ("session-cookie-samesite", Effect::Seen("/service/sticky/cookie/sameSite", "\"lax\"")),
    ("session-cookie-secure", Effect::Seen("/service/sticky/cookie/secure", "null")),
    ("session-cookie-change-on-failure", Effect::Nothing),
    ("upstream-hash-by", Effect::Seen("/service/nginxUpstreamHashBy", "\"$remote_addr\"")),
    ("proxy-next-upstream", Effect::Seen("/retry/status", "[\"503\"]")),
    ("proxy-next-upstream-tries", Effect::Seen("/retry/attempts", "3")),
    ("proxy-read-timeout", Effect::Unseen),
    ("proxy-send-timeout", Effect::Unseen),
    // Only where Traefik, or an annotation, has it keep requests until they are complete, as it does not by itself.
    ("proxy-body-size", Effect::Nothing),
];

/// A scenario with a Traefik before a chat in a namespace of its own.
struct Scene {
    cluster: Cluster,
    namespace: Namespace,
    _operator: Operator,
    traefik: Traefik,
    front: Node,
}

impl Scene {
    async fn start(cluster: Cluster) -> Self {
        let namespace = cluster.namespace("ingress").await;
        let operator = Operator::start(&cluster, &namespace).await;
        let traefik = Traefik::start(&cluster, &namespace).await;
        let front = traefik.node();
        Self { cluster, namespace, _operator: operator, traefik, front }
    }

    /// Applies a chat with an Ingress of that spec; its pods, once Traefik leads to them.
    async fn chat(&self, ingress: &str, more: &str) -> Vec<Node> {
        let spec = format!("{{redis: {{managed: {{}}}}, exposure: {{ingress: {{hosts: [{NAME}]{ingress}}}}}{more}}}");
        self.cluster.apply(&chat_cluster(&self.namespace, "chat", &spec)).await;
        let pods = nodes(&self.cluster, &self.namespace, "chat", 2).await;
        let ready = ("True", "IngressReady");
        until_condition(&self.cluster, &self.namespace, "chat", "ExposureReady", ready).await;
        self.leads_to(&pods).await;
        pods
    }

    /// Waits until Traefik leads to these pods and no others.
    async fn leads_to(&self, pods: &[Node]) {
        let wanted: BTreeSet<String> = pods.iter().map(Node::url).collect();
        until("Traefik leads to these pods", || async {
            let servers = self.service().await?["servers"].as_array()?.clone();
            let found: BTreeSet<String> = servers.iter().filter_map(|s| Some(s["url"].as_str()?.to_owned())).collect();
            (found == wanted).then_some(())
        })
        .await;
    }

    /// What Traefik knows of the way to the chat.
    async fn service(&self) -> Option<Value> {
        let all = self.traefik.configuration().await?;
        let services = all["services"].as_object()?;
        let (_, service) = services.iter().find(|(name, _)| name.contains("-chat-"))?;
        Some(service["loadBalancer"].clone())
    }

    /// The annotations of the Ingress.
    async fn annotations(&self) -> BTreeMap<String, String> {
        let api: Api<Ingress> = Api::namespaced(self.cluster.client().await, &self.namespace);
        let all = api.get("chat").await.expect("an Ingress").metadata.annotations.unwrap_or_default();
        all.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_owned(), value))).collect()
    }

    /// Says what Traefik made of each annotation, and fails where that is something else than it was.
    async fn explain(&self) {
        let all = self.traefik.configuration().await.expect("a configuration");
        let retry = all["middlewares"].as_object().and_then(|all| all.values().find_map(|one| one.get("retry")));
        let found = json!({"service": self.service().await, "retry": retry});
        println!("what Traefik has made of it: {found}");
        for (name, value) in self.annotations().await {
            let effect = ANNOTATIONS.iter().find_map(|(known, effect)| (*known == name).then_some(effect));
            match effect.unwrap_or_else(|| panic!("what does Traefik make of {name}?")) {
                Effect::Seen(place, expected) => {
                    let is = found.pointer(place).unwrap_or(&Value::Null).to_string();
                    println!("{name}: {value} -> {place} = {is}");
                    assert_eq!(is, *expected, "{name}");
                }
                Effect::Unseen => println!("{name}: {value} -> not shown, but heeded"),
                Effect::Nothing => println!("{name}: {value} -> nothing"),
            }
        }
        println!("warnings: {:#?}, errors: {:#?}", self.traefik.logged("WRN"), self.traefik.logged("ERR"));
    }

    /// Connects over a WebSocket, perhaps with a cookie.
    async fn web_socket(&self, name: &str, cookie: Option<&str>) -> Result<Client, Refusal> {
        let mut how = Connect::guest(name).header(HOST, NAME).origin(&format!("http://{NAME}"));
        if let Some(cookie) = cookie {
            how = how.header(COOKIE, cookie);
        }
        how.try_to(&self.front).await
    }

    /// The status of a handshake over HTTP and the cookie that came with it.
    async fn handshake(&self, cookie: Option<&str>) -> (u16, Option<String>) {
        let mut request = http(None).get(format!("{}/socket.io/?EIO=4&transport=polling", self.front.url()));
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let answer = request.send().await.expect("an answer");
        let set = answer.headers().get(SET_COOKIE).map(|set| set.to_str().expect("ASCII").to_owned());
        (answer.status().as_u16(), set.map(|set| pair(&set)))
    }
}

/// Runs a scenario in the shared cluster.
fn with_traefik(scenario: impl AsyncFnOnce(Scene) + Send) {
    run(async |cluster| scenario(Scene::start(cluster).await).await);
}

/// A client of plain HTTP that asks for the chat whoever it asks, perhaps from an address of its own.
fn http(from: Option<IpAddr>) -> reqwest::Client {
    let host = HeaderMap::from_iter([(HOST, HeaderValue::from_static(NAME))]);
    reqwest::Client::builder().default_headers(host).local_address(from).build().expect("a client")
}

/// `NAME=VALUE` of a `Set-Cookie`.
fn pair(set: &str) -> String {
    set.split(';').next().unwrap_or_default().to_owned()
}

/// The pod that a session is on.
async fn pod_of(polling: &Polling) -> String {
    let (events, _) = polling.poll_until(|name, _| name == "session").await;
    let session = events.into_iter().find(|(name, _)| name == "session").expect("a session").1;
    session["node"].as_str().expect("a node").to_owned()
}

/// Says something in the lobby and polls until that is acknowledged, some times: at least two requests each.
async fn talk(polling: &Polling, times: usize) {
    for number in 0..times {
        let text = format!("{} {number}", polling.cookie.as_deref().unwrap_or("nothing"));
        let send = json!(["message:send", {"room": "lobby", "nonce": format!("n{number}"), "text": text}]);
        polling.post(&format!("42{number}{send}")).await;
        let sent = polling.poll_ack(number as u64).await;
        assert_eq!(sent["ok"], true, "{sent}");
    }
}

#[test]
fn a_traefik_cookie_keeps_a_session_on_its_pod() {
    with_traefik(async |scene| {
        scene.chat("", "").await;
        scene.explain().await;

        let mut clients = Vec::new();
        let mut pods: BTreeMap<String, String> = BTreeMap::new();
        for number in 0..6 {
            let polling = Polling::guest_by(http(None), &scene.front, &format!("Polly {number}")).await;
            let set = polling.set_cookie.clone().expect("a cookie");
            let pod = pod_of(&polling).await;
            println!("{pod}: Set-Cookie: {set}");
            let attributes: Vec<&str> = set.split("; ").collect();
            assert!(attributes[0].starts_with("chatlb="), "{set}");
            for attribute in ["Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(&attribute), "{attribute} in {set}");
            }
            assert!(attributes.iter().any(|attribute| attribute.starts_with("Expires=")), "{set}");
            assert!(!attributes.contains(&"Secure"), "plain HTTP: {set}");
            let earlier = pods.insert(pair(&set), pod.clone());
            assert!(earlier.is_none_or(|earlier| earlier == pod), "one cookie is one pod");
            clients.push(polling);
        }
        assert_eq!(pods.len(), 2, "both pods have clients: {pods:?}");
        for polling in &clients {
            talk(polling, 4).await;
        }
        println!("{} sessions over polling kept to their pods: {pods:?}", clients.len());

        // It is the cookie that does it: without, half of the requests come to the other pod, which has no such session.
        let lost = clients.last_mut().expect("a client");
        let cookie = lost.cookie.take();
        let list = format!("42{}", json!(["room:list", {}]));
        let mut statuses = BTreeSet::new();
        for _ in 0..4 {
            statuses.insert(lost.try_post(&list).await);
        }
        println!("without the cookie: {statuses:?}");
        assert!(statuses.contains(&Some(400)), "{statuses:?}");
        lost.cookie = cookie;

        // Over a WebSocket: with the cookie to the pod of the session that it may go on with, without to any.
        for (cookie, pod) in &pods {
            for number in 0..3 {
                let client = scene.web_socket(&format!("Webster {number}"), Some(cookie)).await.expect("a connection");
                assert_eq!(client.session["node"], pod.as_str());
            }
        }
        let bob = scene.web_socket("Bob", None).await.expect("a connection");
        let ann = scene.web_socket("Ann", None).await.expect("a connection");
        assert_ne!(ann.session["node"], bob.session["node"], "one after the other");
        ann.say("lobby", "hello through Traefik").await;
        bob.hear_text("lobby", "hello through Traefik").await;
        println!("WebSockets: {} and {}", ann.session["node"], bob.session["node"]);

        // A pod goes: who has its cookie is led to the other one and gets that one's.
        let (cookie, pod) = pods.pop_first().expect("a pod");
        let api: Api<Pod> = Api::namespaced(scene.cluster.client().await, &scene.namespace);
        api.delete(&pod, &DeleteParams::default()).await.expect("to delete a pod");
        let began = Instant::now();
        let seen = RefCell::new(Vec::<(u16, Duration)>::new());
        let new = until("another cookie", || async {
            let (newcomer, _) = scene.handshake(None).await;
            assert_eq!(newcomer, 200, "who is new is always let in");
            let (status, new) = scene.handshake(Some(&cookie)).await;
            if seen.borrow().last().is_none_or(|(last, _)| *last != status) {
                seen.borrow_mut().push((status, began.elapsed()));
            }
            new.filter(|_| status == 200)
        })
        .await;
        println!(
            "its pod deleted: {cookie} became {new} after {:.1?}, by way of {:.1?}",
            began.elapsed(),
            seen.borrow()
        );
        assert_ne!(new, cookie);
    });
}

#[test]
fn a_full_pod_is_skipped_for_clients_without_its_cookie() {
    with_traefik(async |scene| {
        let pods = scene.chat("", ", limits: {maxConnectionsPerPod: 2}").await;
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        while cookies.len() < 2 {
            let polling = Polling::guest_by(http(None), &scene.front, "Polly").await;
            cookies.insert(pod_of(&polling).await, polling.cookie.clone().expect("a cookie"));
            polling.post("1").await;
        }
        let first = Client::guest(&pods[0], "First").await;
        let _second = Client::guest(&pods[0], "Second").await;
        let full = first.session["node"].as_str().expect("a node");

        let mut others = Vec::new();
        for name in ["Third", "Fourth"] {
            let client = scene.web_socket(name, None).await;
            others.push(client.unwrap_or_else(|refusal| panic!("{name} has no place: {refusal:?}")));
        }
        assert!(others.iter().all(|client| client.session["node"] != full), "the full one is full");
        println!("one pod is full: two newcomers came to the other one");
        drop(others.pop());

        // Traefik never gives up a cookie for a pod that it leads to, whatever the pod answers.
        let refusal = match scene.web_socket("Fifth", Some(&cookies[full])).await {
            Err(Refusal::Http(status, retry)) => (status, retry),
            Ok(client) => panic!("it came to {}", client.session["node"]),
            Err(other) => panic!("{other:?}"),
        };
        println!("with the cookie of the full pod: {refusal:?}");
        assert_eq!(refusal.0, 503);
    });
}

#[test]
fn a_proxy_closes_an_idle_web_socket_after_its_read_timeout() {
    with_traefik(async |scene| {
        // Less than the 15 seconds between two pings of the server, where the operator says more.
        scene.chat(&format!(", annotations: {{'{PREFIX}proxy-read-timeout': '2'}}"), "").await;
        assert_eq!(scene.annotations().await["proxy-read-timeout"], "2", "what is asked for has the last word");
        let client = scene.web_socket("Ann", None).await.expect("a connection");
        let began = Instant::now();
        client.ended().await;
        println!("silent for 2 seconds, ended after {:.1?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(10), "the server itself would take a minute");
    });
}

#[test]
fn a_client_address_keeps_a_session_on_its_pod_in_traefik() {
    with_traefik(async |scene| {
        scene.chat(", sticky: {mode: ClientIP}", "").await;
        scene.explain().await;
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for last in 1..=12 {
            let address = Some(IpAddr::from([127, 0, 0, last]));
            let polling = Polling::guest_by(http(address), &scene.front, "Polly").await;
            assert_eq!(polling.set_cookie, None);
            let pod = pod_of(&polling).await;
            talk(&polling, 3).await;
            let again = Polling::guest_by(http(address), &scene.front, "Polly again").await;
            assert_eq!(pod_of(&again).await, pod, "the same address, the same pod");
            *found.entry(pod).or_default() += 1;
        }
        println!("12 addresses kept to their pods: {found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    });
}

#[test]
fn a_certificate_makes_the_cookie_secure_in_traefik() {
    with_traefik(async |scene| {
        let certified = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "certificate", "namespace": &*scene.namespace},
            "stringData": {"tls.crt": certified.cert.pem(), "tls.key": certified.signing_key.serialize_pem()},
        });
        scene.cluster.apply(&secret.to_string()).await;
        scene.chat(", tls: {secretName: certificate}", "").await;
        let service = scene.service().await.expect("a service");
        println!("{}", service["sticky"]);
        assert_eq!(service["sticky"]["cookie"]["secure"], true);
        let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let answer = plain.get(scene.front.url()).header(HOST, NAME).send().await.expect("an answer");
        println!("plain HTTP: {} to {:?}", answer.status(), answer.headers().get(http::header::LOCATION));
        assert!(answer.status().is_redirection());
    });
}
