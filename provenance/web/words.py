"""Every phrase of the pages, twice: `PHRASES[key] = (English, Simplified Chinese)`.

`{named}` places are filled by `Language.say`. Keys `reason.<code>` say in words why a record was
refused, one for every code of docs/formats.md sections 1 and 10 and those of the page itself; a
test compares the list with that document. House rules: a verdict is about the *record*; the word
for "authentic goods" is used for no code; absent, refused, not checked and unavailable stay apart.
"""

from __future__ import annotations

PHRASES: dict[str, tuple[str, str]] = {
    # The shell
    "app.name": ("Provenance", "溯源护照"),
    "app.tagline": (
        "Product histories that your own device can verify",
        "用您自己的设备验证商品履历",
    ),
    "skip": ("Skip to the record", "跳到履历内容"),
    "switch": ("中文", "English"),
    "switch.label": ("Read this page in Chinese", "用英文阅读本页"),
    "footer.domain": ("You are on {host}.", "您正在访问 {host}。"),
    "footer.privacy": (
        "No login, no cookies, no trackers. Nothing about you is recorded here.",
        "无需登录，不用 Cookie，没有跟踪器，不记录您的任何信息。",
    ),
    "footer.api": ("For programs: interface description", "程序接口说明"),
    # The record's verdict
    "record.heading": ("The record", "履历记录"),
    "record.phone.title": ("Record verified", "记录已验证"),
    "record.phone.by": ("Checked on this device", "由本设备验证"),
    "record.phone.text": (
        "Signed by its parties, unaltered, published, fresh and complete.",
        "各方签名有效，内容未被改动，已公开登记，为最新状态，没有遗漏。",
    ),
    "record.server.title": ("Record checked by the server only", "记录仅由服务器查验"),
    "record.server.by": ("Not yet checked on this device", "尚未由本设备验证"),
    "record.server.text": (
        "Our server found the record in order. It cannot vouch for itself: this page checks "
        "again on your device where the browser can.",
        "本站服务器查验记录无误，但服务器不能为自己作证：只要浏览器支持，本页会在您的设备上再验证一次。",
    ),
    "record.server-final.text": (
        "Our server found the record in order, but this browser could not check it: {why} You "
        "can check without us, see below.",
        "本站服务器查验记录无误，但此浏览器无法自行验证：{why}您可以不依赖本站自行验证，见下文。",
    ),
    "why.no-engine": (
        "it has no Ed25519 signatures on this connection.",
        "当前连接下不支持 Ed25519 签名验证。",
    ),
    "why.unreachable": ("the proof could not be fetched.", "未能取得证明数据。"),
    "why.moved": (
        "the record grew while this page was loading; reload the page.",
        "页面加载期间记录有更新，请刷新页面。",
    ),
    "why.no-policy": ("the policy could not be fetched.", "未能取得验证策略。"),
    "why.failed": ("the check itself broke off.", "验证程序中断。"),
    "why.no-script": ("scripts are switched off.", "脚本已停用。"),
    "why.no-script.sentence": (
        "Scripts are switched off here, so it stays at that.",
        "此处已停用脚本，因此仅有服务器查验结果。",
    ),
    "record.checking": ("Checking on this device …", "正在本设备上验证……"),
    "record.refused.title": ("The record does not hold", "记录校验失败"),
    "record.refused.text": (
        "Do not rely on it. The first check that failed: {reason}",
        "请勿采信。首个未通过的检查：{reason}",
    ),
    "record.refused.by-server": ("Found by the server", "由服务器查出"),
    "record.refused.by-phone": ("Found on this device", "由本设备查出"),
    "record.absent.title": ("We have no record of this code", "未查到此码的记录"),
    "record.absent.text": (
        "The code is well formed, and the log proves that nobody has recorded anything under it.",
        "编码格式正确，日志可以证明：此码名下没有任何记录。",
    ),
    "record.absent.by-server": ("Shown by the server only", "仅由服务器出示"),
    "record.absent.by-phone": (
        "Proof of absence checked on this device",
        "“无记录”证明已由本设备验证",
    ),
    "record.unusable.title": ("The proof could not be read", "证明数据无法读取"),
    "record.unusable.text": (
        "This is not a verdict on the product. Reload the page. What was wrong: {reason}",
        "这不是对商品的结论。请刷新页面。问题：{reason}",
    ),
    "record.place": ("Place in the proof: {place}", "证明中的位置：{place}"),
    "record.asof": ("As of {time}", "截至 {time}"),
    "record.domain": ("Checked at {host}", "查验网站 {host}"),
    "record.cosigners.one": ("{n} cosigner", "{n} 个联署方"),
    "record.cosigners.many": ("{n} cosigners", "{n} 个联署方"),
    "record.cosigner.own": (
        "the operator’s own clock, not independent",
        "运营方自己的时钟，非独立",
    ),
    # What the phone adds
    "pin.first": (
        "Policy of log {log} pinned on first visit",
        "首次访问，已固定日志 {log} 的验证策略",
    ),
    "pin.known": (
        "By the policy of log {log}, pinned {day}",
        "依据 {day} 固定的日志 {log} 验证策略",
    ),
    "pin.changed": (
        "By the policy of log {log}, pinned {day}",
        "依据 {day} 固定的日志 {log} 验证策略",
    ),
    "pin.unkept": (
        "Policy of log {log} not pinned: this browser keeps nothing",
        "日志 {log} 的验证策略未固定：此浏览器不保存数据",
    ),
    "pin.changed.title": ("This site now offers another policy", "本站给出的验证策略已改变"),
    "pin.changed.text": (
        "The keys by which records are judged differ from those that this device pinned. The "
        "verdict here still uses the pinned ones. Unless the operator has announced a change "
        "through another channel, be careful.",
        "用于判定记录的密钥与本设备此前固定的不同。本页仍按已固定的策略判定。除非运营方已通过其他渠"
        "道公布变更，否则请谨慎。",
    ),
    "pin.changed.accept": ("I have checked this: pin the new policy", "我已核实：固定新策略"),
    "memory.older.title": (
        "This device has seen a newer state of this log",
        "本设备曾见过该日志更新的状态",
    ),
    "memory.older.text": (
        "What is shown here is not the newest: events may be missing that the log already held. "
        "The operator has been shown what this device saw.",
        "此处显示的并非最新状态，可能缺少日志中已有的事件。本设备已将所见状态提交给运营方。",
    ),
    "memory.unproven.title": (
        "The log did not prove that it only grew",
        "该日志未能证明其只增不改",
    ),
    "memory.unproven.text": (
        "This device remembers an earlier state of this log, and the proof that the present one "
        "continues it is wrong. Try again, and be careful if it stays so.",
        "本设备记得该日志较早的状态，而证明当前状态由其延续的证据有误。请重试；若仍如此，请谨慎。",
    ),
    "memory.unavailable.title": (
        "Not compared with what this device has seen",
        "未能与本设备此前所见状态核对",
    ),
    "memory.unavailable.text": (
        "This device remembers an earlier state of this log, and the proof that the present one "
        "continues it did not come. Try again, and be careful if it stays so.",
        "本设备记得该日志较早的状态，但未能取得当前状态由其延续的证据。请重试；若仍如此，请谨慎。",
    ),
    "memory.unjudged.title": (
        "This device remembers another history of this log",
        "本设备记得该日志的另一段历史",
    ),
    "memory.unjudged.text": (
        "It was signed by a key that the pinned policy does not know, so it is no evidence against "
        "the log; but what is shown here does not continue it. Unless the operator has announced "
        "a new key or a new log through another channel, be careful.",
        "该历史并非由已固定策略认可的密钥签名，不能作为不利于该日志的证据；但此处显示的状态并非由其"
        "延续。除非运营方已通过其他渠道公布新密钥或新日志，否则请谨慎。",
    ),
    "mismatch.title": ("The page shows something else than the proof", "页面内容与证明不一致"),
    "mismatch.text": (
        "What is written below is not what the verified record says. Do not rely on it.",
        "下方文字与已验证的记录不符，请勿采信。",
    ),
    # This item
    "item.heading": ("This item", "这件商品"),
    "item.title": ("Not judged: a printed code can be copied", "不作判断：印刷的码可以被复制"),
    "item.text": (
        "The code tells which record belongs to it, not whether the thing in your hand is the "
        "one that was recorded. Scans are not counted in this version.",
        "编码只说明对应哪份记录，不能说明您手中的就是被记录的那一件。本版本不统计扫码次数。",
    ),
    "item.compare": ("How to compare", "如何核对"),
    "item.compare.1": (
        "Compare name, lot and dates on the pack with those below.",
        "将包装上的品名、批号和日期与下方内容核对。",
    ),
    "item.compare.2": (
        "See whether seal and label are whole, and whether the code is printed on the pack "
        "itself rather than on a sticker over it.",
        "查看封口与标签是否完好，编码是印在包装上，还是后贴的标签。",
    ),
    "item.compare.3": (
        "The last stage should be the shop where you are, or the one that you bought from.",
        "最后一个环节应当是您所在或购买的门店。",
    ),
    # Product
    "product.unnamed": ("Unnamed product", "未命名商品"),
    "product.unnamed.00": ("Shipping unit", "物流单元"),
    "product.unnamed.10": ("Lot without a product name", "批次（未命名商品）"),
    "product.unnamed.414": ("Place", "地点"),
    "product.unnamed.8003": ("Returnable asset", "周转器具"),
    "product.unnamed.8004": ("Asset", "资产"),
    "product.subject": ("Recorded under", "记录对象"),
    "product.brand": ("Brand", "品牌"),
    "product.lot": ("Lot", "批号"),
    "product.serial": ("Serial", "序列号"),
    "product.made": ("Made", "生产日期"),
    "product.expiry": ("Expires", "有效期至"),
    "product.best-before": ("Best before", "最佳食用期"),
    "product.origin": ("Origin", "原产地"),
    "product.named-by": (
        "Name, lot and dates as signed by {party}",
        "品名、批号、日期由 {party} 签名声明",
    ),
    "product.expired": ("Expired on {day}", "已于 {day} 过期"),
    "product.recalled": ("Recalled: {party} has recorded a recall", "已召回：{party} 记录了召回"),
    "route.heading": ("Route", "路线"),
    "vouch.one": ("{n} independent party vouches", "{n} 个独立机构作证"),
    "vouch.many": ("{n} independent parties vouch", "{n} 个独立机构作证"),
    "vouch.text": (
        "each with a key declared as its own, not held by the platform",
        "各自以申报为自持、不由平台代管的密钥签名",
    ),
    "vouch.none": (
        "No stage is signed with a key declared as outside the platform’s hands",
        "没有任何环节以申报为平台以外保管的密钥签名",
    ),
    "vouch.platform.one": (
        "{n} more party’s key is declared as held by the platform",
        "另有 {n} 个机构的密钥申报为由平台代管",
    ),
    "vouch.platform.many": (
        "{n} more parties’ keys are declared as held by the platform",
        "另有 {n} 个机构的密钥申报为由平台代管",
    ),
    # Stages
    "stages.heading": ("History", "流转履历"),
    "stages.count.one": ("{n} stage", "{n} 个环节"),
    "stages.count.many": ("{n} stages", "{n} 个环节"),
    "stage.claimed": ("Happened", "发生时间"),
    "stage.ledger": ("Recorded", "登记时间"),
    # The four times of a record
    "times.heading": ("Four times, four different things", "四种时间，各不相同"),
    "times.text": (
        "None of them stands in for another, and the later ones say only “not later than”.",
        "四者互不替代；后面的时间只说明“不晚于”此时。",
    ),
    "times.to": ("to", "至"),
    "times.claimed": ("Claimed time", "声称时间"),
    "times.claimed.by": (
        "when things happened, as each signer says; nobody else vouches for it",
        "事情发生的时间，由各签名方声称，无人担保",
    ),
    "times.ledger": ("Ledger time", "登记时间"),
    "times.ledger.by": (
        "when this platform says that it accepted the entries",
        "本平台所称的登记受理时间",
    ),
    "times.witness": ("Witness time", "见证时间"),
    "times.witness.by": (
        "when cosigners, not all of them the platform’s own, saw the log with this record in it",
        "联署方（不全属于本平台）看到含此记录的日志的时间",
    ),
    "times.witness.own": (
        "the platform’s own clock only; no independent witness has cosigned",
        "仅为本平台自己的时钟；尚无独立见证方联署",
    ),
    "times.witness.none": ("no cosigner states a time", "没有联署方给出时间"),
    "times.anchor": ("Anchor time", "锚定时间"),
    "times.anchor.rfc3161": (
        "stated by a time-stamp authority (RFC 3161), not checked on this phone",
        "由时间戳机构（RFC 3161）给出，本手机未核验",
    ),
    "times.anchor.evm": (
        "stated by a public chain (EVM), not checked on this phone",
        "由公共链（EVM）给出，本手机未核验",
    ),
    "times.anchor.pending": (
        "not yet anchored: no third party has confirmed a state with this record in it",
        "尚未锚定：还没有第三方确认含此记录的状态",
    ),
    "times.anchor.none": (
        "no anchor configured: this platform asks no third party to date its log",
        "未设锚定：本平台未请第三方为日志标注时间",
    ),
    "stage.late": ("added late, after later stages", "补录，晚于其后的环节"),
    "stage.by": ("Signed by", "签名方"),
    "stage.place": ("Place", "地点"),
    "stage.via": ("through {what}", "随 {what}"),
    "stage.via.00": ("shipping unit {id}", "物流单元 {id}"),
    "stage.via.10": ("lot {id}", "批次 {id}"),
    "stage.via.21": ("item {id}", "单品 {id}"),
    "stage.via.8003": ("returnable asset {id}", "周转器具 {id}"),
    "stage.via.other": ("{id}", "{id}"),
    "stage.state.correction": ("Correction of an earlier entry", "对先前记录的更正"),
    "stage.state.declared-wrong": ("Declared wrong by its signer", "签名方已声明此条有误"),
    "stage.state.declaration": ("Declaration that an entry is wrong", "更正声明：先前某条有误"),
    "stage.doubtful": (
        "Doubtful: signed after the key is said to have got into wrong hands",
        "存疑：签名时密钥据称已泄露",
    ),
    "stage.corrected-by": ("See the correction", "查看更正"),
    "stage.corrects": ("See what it corrects", "查看被更正的记录"),
    "stage.declares": ("See the entry that it declares wrong", "查看被声明有误的记录"),
    "stage.recalled": ("Recall", "召回"),
    "stage.concealed.one": (
        "{n} field concealed by the signer, still provable",
        "{n} 个字段由签名方隐藏，仍可证明",
    ),
    "stage.concealed.many": (
        "{n} fields concealed by the signer, still provable",
        "{n} 个字段由签名方隐藏，仍可证明",
    ),
    "stage.disclosed": ("opened from a concealed field", "由隐藏字段公开"),
    "stage.belongs": ("Belongs here", "关联方式"),
    "stage.details": ("Details and proof", "详情与证明"),
    "stage.raw": ("The signed event, as it was hashed", "已签名的事件原文（哈希即据此计算）"),
    "stage.nothing": (
        "Nothing has been recorded under this code. If a seller shows you this code on a "
        "product, ask the brand.",
        "此码名下没有任何记录。如果卖家出示带此码的商品，请向品牌方核实。",
    ),
    "stage.unshown": (
        "A record that does not hold is not shown as a story. Its raw bytes are below, for "
        "experts.",
        "校验失败的记录不作为履历展示。原始数据见下文，供专业人员查看。",
    ),
    "fact.disposition": ("State", "状态"),
    "fact.quantity": ("Quantity", "数量"),
    "fact.made-from": ("Made from", "原料"),
    "fact.inside": ("Packed into", "装入"),
    "fact.taken-out": ("Taken out of", "取自"),
    "fact.from": ("From", "发出方"),
    "fact.to": ("To", "接收方"),
    "fact.document": ("Document", "单据"),
    "fact.temperature": ("Temperature", "温度"),
    "fact.humidity": ("Humidity", "湿度"),
    "fact.sensor": ("{type}", "{type}"),
    "fact.range": ("{low} to {high}{unit}, mean {mean}", "{low} 至 {high}{unit}，均值 {mean}"),
    "fact.range.plain": ("{low} to {high}{unit}", "{low} 至 {high}{unit}"),
    "fact.vessel": ("Vessel", "船名"),
    "fact.voyage": ("Voyage", "航次"),
    "fact.container": ("Container", "集装箱号"),
    "fact.clearance": ("Clearance", "通关状态"),
    "fact.declared": ("Declared value", "申报价值"),
    "fact.note": ("Note", "备注"),
    "fact.reason": ("Reason", "原因"),
    "fact.product": ("Product", "品名"),
    "fact.units.one": ("{n} item", "{n} 件"),
    "fact.units.many": ("{n} items", "{n} 件"),
    "certificate.heading": ("Certificate", "证书"),
    "certificate.number": ("No. {number}", "编号 {number}"),
    "certificate.hash": ("Fingerprint of the document (SHA-256)", "文件指纹（SHA-256）"),
    "certificate.compare": (
        "Whoever holds the document can hash it and compare.",
        "持有该文件者可自行计算并比对。",
    ),
    # Parties
    "parties.heading": ("Who says so", "谁在作证"),
    "party.stages.one": ("{n} stage", "{n} 个环节"),
    "party.stages.many": ("{n} stages", "{n} 个环节"),
    "party.unnamed": ("Unnamed party", "未命名机构"),
    "party.no-role": ("no role now", "现无角色"),
    "custody.platform.text": (
        "Key declared as held by the platform on this party’s behalf, so this party does not "
        "count as independent.",
        "密钥申报为由平台代该机构保管，因此该机构不计入独立作证方。",
    ),
    # Proof
    "proof.heading": ("Proof", "证明"),
    "proof.summary": ("Checkpoint, keys and hashes", "检查点、密钥与哈希"),
    "proof.checks": ("Checks", "检查项"),
    "check.published": ("Published", "已公开"),
    "check.published.text": (
        "in a log that its operator cannot rewrite unseen",
        "记入运营方无法暗改的日志",
    ),
    "check.fresh": ("Fresh", "最新"),
    "check.fresh.text": ("the log’s state is at most a day old", "日志在一天之内更新过"),
    "check.complete": ("Complete", "完整"),
    "check.complete.text": ("exactly these entries, none left out", "恰好这些记录，没有遗漏"),
    "check.unaltered": ("Unaltered", "未改动"),
    "check.unaltered.text": ("every entry as it was signed", "每条记录与签名时一致"),
    "check.authentic": ("Signed", "签名有效"),
    "check.authentic.text": ("by parties whose keys were valid then", "由当时密钥有效的机构签名"),
    "check.pass": ("passed", "通过"),
    "check.fail": ("failed", "未通过"),
    "check.not-checked": ("not checked", "未检查"),
    "proof.log": ("Log", "日志"),
    "proof.size": ("Entries in the log", "日志条目数"),
    "proof.asof": ("As of", "截至"),
    "proof.asof.none": (
        "unknown: no cosigner with a clock is demanded",
        "未知：未要求带时钟的联署方",
    ),
    "proof.cosigners": ("Cosigned by", "联署方"),
    "proof.cosigners.none": ("nobody", "无"),
    "proof.clock": (
        "Its operator’s own cosigner gives the checkpoint an age. It is not independent: a "
        "witness that the operator does not run would be.",
        "运营方自己的联署方只用于证明检查点的时间，并非独立；由他人运行的见证方才是独立的。",
    ),
    "proof.checkpoint": ("Checkpoint, as signed", "检查点原文"),
    "proof.map": ("Map proof", "映射证明"),
    "proof.map.text": (
        "The map says how many entries each history has. This record rests on {n} histories:",
        "映射证明每份履历恰有多少条记录。本记录涉及 {n} 份履历：",
    ),
    "proof.entries.one": ("{n} entry", "{n} 条"),
    "proof.entries.many": ("{n} entries", "{n} 条"),
    "proof.head": ("newest link", "最新链节"),
    "proof.absent": ("proved absent", "证明不存在"),
    "proof.event-hash": ("Event hash", "事件哈希"),
    "proof.link-hash": ("Link hash", "链节哈希"),
    "proof.seal-hash": ("Seal hash", "封签哈希"),
    "proof.key": ("Signing key", "签名密钥"),
    "proof.warnings": ("Remarks of the check", "验证提示"),
    "warning.key-doubtful": (
        "A key is said to have been in wrong hands when it signed",
        "签名时密钥据称已泄露",
    ),
    "warning.declaration-foreign": (
        "Somebody declared another party’s entry wrong; that changes nothing",
        "有机构声明他人的记录有误，不生效",
    ),
    "warning.subject-without-history": (
        "Something that belongs to this has no history",
        "关联对象没有履历记录",
    ),
    "warning.trace-limit": ("The history goes further than is followed here", "履历超出追踪范围"),
    "warning.log-key-succeeded": (
        "The log’s key was passed on to a new one, signed by the old: renew your policy",
        "日志密钥已由原密钥签名更替，请更新验证策略",
    ),
    "warning.policy-differs": (
        "The site proposes another policy than the one used here",
        "网站提议的验证策略与此处所用不同",
    ),
    "warning.anchor-unusable": (
        "A dating by somebody else does not fit this log and was passed over",
        "有一项外部时间锚定与该日志不符，未予采用",
    ),
    # Without us
    "without.heading": ("Check us without us", "不依赖本站的验证"),
    "without.text": (
        "A page cannot prove its own server honest. Take the proof away and check it with a "
        "program that did not come with it.",
        "网页无法证明自己的服务器可信。请带走证明，用另行取得的程序验证。",
    ),
    "without.bundle": ("Download the proof bundle", "下载证明文件"),
    "without.policy": ("Download the policy", "下载验证策略"),
    "without.verifier": ("Single-file verifier, works offline", "单文件离线验证器"),
    "without.command": ("On the command line", "命令行验证"),
    "without.format": (
        "The exact formats are public; anybody can write a verifier of their own.",
        "格式完全公开，任何人都可以自行编写验证程序。",
    ),
    # Landing
    "home.title": ("What has happened to this product?", "这件商品经历了什么？"),
    "home.text": (
        "Makers, carriers, laboratories and customs sign what they did. A public log keeps it. "
        "Your own device checks it, without trusting us.",
        "生产、物流、检测和海关各自为经手的环节签名，由公开日志保存；您的设备自行验证，无需信任本站。",
    ),
    "home.label": ("Code or link from the pack", "包装上的编码或链接"),
    "home.hint": (
        "Scan the QR code with your camera, or type its link or what is printed under it, for "
        "example (01) GTIN (21) serial",
        "用相机扫描二维码，或输入链接或码下印的字符，例如 (01) 商品条码 (21) 序列号",
    ),
    "home.button": ("Look it up", "查询"),
    "home.promise.1": ("Signed", "有签名"),
    "home.promise.1.text": (
        "Each stage by the party that did it, with a key valid at the time.",
        "每个环节由当事机构用当时有效的密钥签名。",
    ),
    "home.promise.2": ("Unaltered and complete", "未改动、无遗漏"),
    "home.promise.2.text": (
        "Nothing changed, nothing left out, and a missing record is proved missing.",
        "没有改动，没有遗漏；没有记录也能证明。",
    ),
    "home.promise.3": ("Checked by you", "由您验证"),
    "home.promise.3.text": (
        "On your own device, or with a verifier that did not come from us.",
        "在您自己的设备上，或用另行取得的验证程序。",
    ),
    "home.state": ("The log {log} has {size} entries.", "日志 {log} 现有 {size} 条记录。"),
    # Failures as pages
    "error.400": ("This code cannot be read", "此码无法读取"),
    "error.404": ("There is nothing here", "这里没有内容"),
    "error.405": ("That cannot be done here", "此处不支持该操作"),
    "error.406": ("Not available in that form", "没有所请求的格式"),
    "error.410": ("This is gone", "内容已移除"),
    "error.500": ("A fault on our side", "本站出错"),
    "error.503": ("Not able to answer now", "暂时无法回答"),
    "error.400.text": (
        "The code in this address breaks a rule of GS1, so nothing was looked up.",
        "地址中的编码不符合 GS1 规则，因此没有查询任何内容。",
    ),
    "error.code-missing.text": ("No code was given.", "没有输入编码。"),
    "error.404.text": ("There is nothing at this address.", "此地址没有内容。"),
    "error.500.text": ("The request failed through no fault of yours.", "请求失败，责任在本站。"),
    "error.503.text": ("Please try again in a moment.", "请稍后再试。"),
    "error.other.text": ("The request was not carried out.", "请求未被执行。"),
    "error.other": ("The request was refused", "请求被拒绝"),
    "error.not-a-verdict": ("This says nothing about the product.", "这不代表对商品的任何结论。"),
    "error.expected": ("Expected", "应为"),
    "error.found": ("Found", "实际为"),
    "error.remedy": ("What to do", "处理办法"),
    "error.home": ("Look up another code", "查询其他编码"),
    "error.check-digit": (
        "The check digit is wrong: a code with these digits ends in {expected}, this one in "
        "{found}. Most likely a digit was mistyped or misread.",
        "校验位有误：这组数字的末位应为 {expected}，而此码为 {found}。很可能输错或读错了一位。",
    ),
    "error.scan-again": (
        "Scan the code again, or compare it digit by digit with the pack.",
        "请重新扫码，或与包装逐位核对。",
    ),
    # Why a record was refused
    "reason.too-large": ("the proof is larger than may be read", "证明数据超出允许大小"),
    "reason.not-utf8": ("the proof is not text in UTF-8", "证明数据不是 UTF-8 文本"),
    "reason.too-deep": ("the proof is nested too deeply", "证明数据嵌套过深"),
    "reason.not-json": ("the proof is not JSON", "证明数据不是 JSON"),
    "reason.duplicate-key": ("the proof names one thing twice", "证明数据中有重复名称"),
    "reason.number-range": ("the proof has a number out of range", "证明数据中有越界数字"),
    "reason.lone-surrogate": ("the proof has broken characters", "证明数据中有残缺字符"),
    "reason.not-a-passport": ("the file is not a product passport", "文件不是商品护照"),
    "reason.bundle-malformed": ("the proof is not built as it should be", "证明结构不符合格式"),
    "reason.checkpoint-malformed": ("the log’s checkpoint cannot be read", "日志检查点无法读取"),
    "reason.log-unknown": (
        "it comes from a log that your policy does not know",
        "来自验证策略中没有的日志",
    ),
    "reason.checkpoint-signature": (
        "the log’s signature is missing or false",
        "日志签名缺失或无效",
    ),
    "reason.succession-malformed": (
        "the note that names the log’s next key cannot be read",
        "日志密钥更替声明无法读取",
    ),
    "reason.succession-signature": (
        "the log’s next key is not named by the one before it",
        "日志新密钥未得到原密钥签名认可",
    ),
    "reason.log-forked": (
        "this log has signed two histories that contradict each other: trust nothing in it",
        "该日志签署了两份相互矛盾的历史，一概不可信",
    ),
    "reason.quorum-missing": (
        "too few cosigners have seen this state of the log",
        "联署方数量不足",
    ),
    "reason.map-head-malformed": ("the log’s map cannot be read", "日志映射无法读取"),
    "reason.map-head-inclusion": (
        "the log’s map is not the newest entry of the log",
        "映射不是日志的最新条目",
    ),
    "reason.checkpoint-future": (
        "the checkpoint is dated in the future; check your device’s clock",
        "检查点时间晚于当前时间，请检查设备时钟",
    ),
    "reason.checkpoint-stale": (
        "the checkpoint is too old; newer entries may be hidden, or your device’s clock is wrong",
        "检查点过旧，可能有新记录被隐瞒，或设备时钟有误",
    ),
    "reason.map-absence": ("the proof that a history does not exist is false", "“无记录”证明无效"),
    "reason.map-presence": ("the proof of how long a history is, is false", "履历长度证明无效"),
    "reason.link-foreign": ("an entry belongs to another history", "有条目属于另一份履历"),
    "reason.link-order": ("an entry is out of order", "条目顺序有误"),
    "reason.link-broken": ("the chain of entries is broken", "条目链断裂"),
    "reason.link-time": ("an entry is dated before the one it follows", "条目时间早于前一条"),
    "reason.history-incomplete": ("entries are left out or added", "有条目被遗漏或添加"),
    "reason.history-altered": ("the history was altered", "履历被改动"),
    "reason.link-inclusion": ("the newest entry is not in the log", "最新条目不在日志中"),
    "reason.event-malformed": ("an event cannot be read", "有事件无法读取"),
    "reason.event-altered": ("an event was changed after it was signed", "有事件在签名后被改动"),
    "reason.disclosure-unmatched": (
        "an opened field is not the one that was signed",
        "公开的字段与签名内容不符",
    ),
    "reason.event-unlinked": (
        "an event stands in the proof that the log does not have",
        "有事件未记入日志",
    ),
    "reason.event-missing": ("an event of the history is held back", "有事件被扣留"),
    "reason.seal-mismatch": ("an event hangs on the wrong signature", "事件与签名不对应"),
    "reason.event-not-about-subject": ("an event is about something else", "有事件与此对象无关"),
    "reason.event-missing-on-chain": (
        "an event is missing from a history it belongs to",
        "有事件未出现在应属的履历中",
    ),
    "reason.seal-foreign-log": ("a signature was made for another log", "签名是为另一日志所作"),
    "reason.party-missing": ("a signer is unknown", "签名方未知"),
    "reason.seal-signature": ("a signature is false", "签名无效"),
    "reason.party-history": ("a signer’s own history breaks the rules", "签名方自身记录违反规则"),
    "reason.key-unknown": ("a signing key is not its party’s", "签名密钥不属于该机构"),
    "reason.key-not-yet-valid": ("a key was not valid yet when it signed", "签名时密钥尚未生效"),
    "reason.key-expired": ("a key had expired when it signed", "签名时密钥已过期"),
    "reason.key-revoked": ("a key had been revoked when it signed", "签名时密钥已被撤销"),
    "reason.party-not-accredited": (
        "a signer held no role when it signed",
        "签名时该机构没有任何角色",
    ),
    "reason.subject-missing": ("a part of the history is held back", "部分履历被扣留"),
    "reason.story-differs": (
        "the page shows something else than the proof",
        "页面内容与证明不一致",
    ),
    "reason.unknown": ("a check failed ({code})", "检查未通过（{code}）"),
}
