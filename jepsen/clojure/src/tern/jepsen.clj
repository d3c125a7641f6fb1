; SPDX-License-Identifier: Apache-2.0
(ns tern.jepsen
  "tern on the nodes of a Jepsen cluster: one region per node, the workload and checker of jepsen.tests.kafka, faults of
  jepsen.nemesis.combined. Keys are partitions of one sync topic."
  (:require [clojure.string :as str]
            [clojure.tools.logging :refer [info]]
            [jepsen [cli :as cli] [client :as client] [control :as c] [core :as jepsen] [db :as db] [generator :as gen] [tests :as tests]
                    [util :as util]]
            [jepsen.control.util :as cu]
            [jepsen.nemesis.combined :as nc]
            [jepsen.os.debian :as debian]
            [jepsen.tests.kafka :as kafka])
  (:import (java.time Duration)
           (java.util Properties)
           (java.util.concurrent ExecutionException TimeUnit)
           (org.apache.kafka.clients.admin Admin NewTopic)
           (org.apache.kafka.clients.consumer KafkaConsumer)
           (org.apache.kafka.clients.producer KafkaProducer ProducerRecord)
           (org.apache.kafka.common TopicPartition)
           (org.apache.kafka.common.errors RecordTooLargeException TopicExistsException)))

(def topic "jepsen")
(def partitions 64)
(def dir "/opt/tern")
(def ports {:kafka 9092 :mesh 9093 :admin 9094})

; ---- nodes ---------------------------------------------------------------------------------------

(defn node-id [test node] (inc (.indexOf ^java.util.List (:nodes test) node)))

(defn config
  "ternd.yaml of a node; its region has the name of the node."
  [test node]
  (str "node: {id: " (node-id test node) ", region: " node "}\ncluster: jepsen\ndata: " dir "/data\ncerts: " dir "/certs\n"
       "listen: {kafka: \"0.0.0.0:9092\", mesh: \"0.0.0.0:9093\", admin: \"0.0.0.0:9094\"}\n"
       "advertise: {kafka: \"" node ":9092\", mesh: \"" node ":9093\", admin: \"" node ":9094\"}\nseeds:\n"
       (str/join (for [peer (:nodes test) :when (not= peer node)] (str "  - " (node-id test peer) "@" peer ":9093\n")))))

(defn start-node! []
  (c/su (cu/start-daemon! {:logfile (str dir "/log") :pidfile (str dir "/pid") :chdir dir} (str dir "/ternd") :--config (str dir "/ternd.yaml"))))

(defn db
  "Binaries and certificates are made beforehand: see README.md."
  []
  (reify
    db/DB
    (setup! [_ test node]
      (c/su (c/exec :mkdir :-p (str dir "/data") (str dir "/certs")))
      (doseq [program ["ternd" "tern"]]
        (c/upload (str (:bin test) "/" program) (str "/tmp/" program))
        (c/su (c/exec :mv (str "/tmp/" program) dir) (c/exec :chmod "755" (str dir "/" program))))
      (doseq [file ["ca.crt" (str "node-" (node-id test node) ".crt") (str "node-" (node-id test node) ".key") "client-admin.crt" "client-admin.key"]]
        (c/upload (str (:certs test) "/" file) (str "/tmp/" file))
        (c/su (c/exec :mv (str "/tmp/" file) (str dir "/certs"))))
      (c/su (cu/write-file! (config test node) (str dir "/ternd.yaml"))
            (cu/write-file! (str "cluster: jepsen\ncerts: certs\nclient: admin\nnodes:\n"
                                 (str/join (for [n (:nodes test)]
                                             (str "  - {id: " (node-id test n) ", region: " n ", admin: \"" n ":9094\"}\n"))))
                            (str dir "/profile.yaml")))
      (start-node!)
      (cu/await-tcp-port (:admin ports))
      (jepsen/synchronize test)
      (when (= node (jepsen/primary test))
        (util/await-fn #(c/su (c/exec (str dir "/tern") :--profile (str dir "/profile.yaml") :cluster :init)) {:timeout 60000})))
    (teardown! [_ _ _]
      (c/su (cu/stop-daemon! (str dir "/ternd") (str dir "/pid")) (c/exec :rm :-rf (str dir "/data") (str dir "/log"))))
    db/LogFiles
    (log-files [_ _ _] [(str dir "/log")])
    db/Process
    (start! [_ _ _] (start-node!))
    (kill! [_ _ _] (c/su (cu/grepkill! :kill "ternd")))
    db/Pause
    (pause! [_ _ _] (c/su (cu/grepkill! :stop "ternd")))
    (resume! [_ _ _] (c/su (cu/grepkill! :cont "ternd")))))

; ---- clients -------------------------------------------------------------------------------------

(defn properties [entries]
  (let [p (Properties.)]
    (doseq [[k v] entries] (.setProperty p k (str v)))
    p))

(defn bootstrap [node] (str node ":" (:kafka ports)))
(def long-type "org.apache.kafka.common.serialization.Long")

(defn producer [node]
  (KafkaProducer. (properties {"bootstrap.servers" (bootstrap node) "acks" "all" "enable.idempotence" true "delivery.timeout.ms" 10000
                               "request.timeout.ms" 3000 "max.block.ms" 10000 "linger.ms" 0
                               "key.serializer" (str long-type "Serializer") "value.serializer" (str long-type "Serializer")})))

(defn consumer [node]
  (KafkaConsumer. (properties {"bootstrap.servers" (bootstrap node) "group.id" "jepsen" "enable.auto.commit" false "auto.offset.reset" "none"
                               "default.api.timeout.ms" 10000 "client.rack" node
                               "key.deserializer" (str long-type "Deserializer") "value.deserializer" (str long-type "Deserializer")})))

(defn partition-of [k] (TopicPartition. topic (int k)))

(defn poll! [^KafkaConsumer consumer]
  (->> (.poll consumer (Duration/ofMillis 100))
       (map (fn [r] [(long (.partition r)) [(.offset r) (.value r)]]))
       (reduce (fn [polled [k pair]] (update polled k (fnil conj []) pair)) {})))

(defn mop! [{:keys [producer consumer]} [f k v :as mop]]
  (case f
    :poll [:poll (poll! consumer)]
    :send (let [sent (.get (.send ^KafkaProducer producer (ProducerRecord. topic (int k) (long k) (long v))) 15 TimeUnit/SECONDS)]
            [:send k [(when (.hasOffset sent) (.offset sent)) v]])))

(defn assign! [^KafkaConsumer consumer ks from-beginning?]
  (let [wanted (map partition-of ks)
        kept   (into {} (keep (fn [tp] (try [tp (.position consumer tp (Duration/ofMillis 1))] (catch Exception _ nil))) wanted))]
    (.assign consumer wanted)
    (doseq [tp wanted]
      (.seek consumer ^TopicPartition tp (long (if from-beginning? 0 (get kept tp 0)))))))

(defrecord Client [node producer consumer]
  client/Client
  (open! [this _ node] (assoc this :node node :producer (tern.jepsen/producer node) :consumer (tern.jepsen/consumer node)))
  (setup! [_ test]
    (when (= node (first (:nodes test)))
      (with-open [admin (Admin/create (properties {"bootstrap.servers" (bootstrap node)}))]
        (try (.get (.all (.createTopics admin [(NewTopic. topic (int partitions) (short -1))])))
             (catch ExecutionException e
               (when-not (instance? TopicExistsException (.getCause e)) (throw e)))))))
  (invoke! [this test op]
    (try
      (case (:f op)
        :assign    (do (assign! consumer (:value op) (:seek-to-beginning? op)) (assoc op :type :ok))
        :crash     (assoc op :type :info)
        :debug-topic-partitions (assoc op :type :ok)
        (:send :poll :txn) (assoc op :type :ok :value (mapv (partial mop! this) (:value op))))
      (catch ExecutionException e
        ; Only what can never have been appended is a failure; NOT_LEADER_OR_FOLLOWER is not that.
        (assoc op :type (if (instance? RecordTooLargeException (.getCause e)) :fail :info) :error (str (.getCause e))))
      (catch Exception e
        (assoc op :type (if (= :poll (:f op)) :fail :info) :error (str e)))))
  (teardown! [_ _])
  (close! [_ _]
    (.close ^KafkaProducer producer (Duration/ofMillis 10))
    (.close ^KafkaConsumer consumer (Duration/ofMillis 10)))
  client/Reusable
  (reusable? [_ _] false))

; ---- test ----------------------------------------------------------------------------------------

(defn tern-test [opts]
  (let [opts     (assoc opts :sub-via #{:assign} :txn? false :max-txn-length 1 :ww-deps true)
        workload (kafka/workload (assoc opts :key-count 8 :max-writes-per-key 1024))
        database (db)
        nemesis  (nc/nemesis-package {:db database :nodes (:nodes opts) :faults (:faults opts) :interval 15
                                      :partition {:targets [:one :majority :majorities-ring]}
                                      :kill {:targets [:one :all]} :pause {:targets [:one]}})]
    (info "faults" (:faults opts))
    (merge tests/noop-test opts workload
           {:name      "tern" :os debian/os :db database :client (Client. nil nil nil) :nemesis (:nemesis nemesis)
            :generator (gen/phases
                         (->> (:generator workload) (gen/stagger (/ (:rate opts))) (gen/nemesis (:generator nemesis)) (gen/time-limit (:time-limit opts)))
                         (gen/nemesis (:final-generator nemesis))
                         (gen/sleep 10)
                         (gen/time-limit 300 (gen/clients (:final-generator workload))))})))

(def options
  [[nil "--bin DIR" "where ternd and tern are" :default "../../build/release"]
   [nil "--certs DIR" "certificates of the nodes" :default "certs"]
   [nil "--rate HZ" "ops per second" :default 100 :parse-fn parse-double]
   [nil "--faults LIST" "kill,pause,partition,clock" :default #{:kill :pause :partition} :parse-fn #(set (map keyword (str/split % #",")))]])

(defn -main [& args]
  (cli/run! (merge (cli/single-test-cmd {:test-fn tern-test :opt-spec options}) (cli/serve-cmd)) args))
