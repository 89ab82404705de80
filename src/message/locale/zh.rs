//! Simplified Chinese.

use jiff::SignedDuration;

use super::{Words, split};
use crate::lifecycle::{Source, Transition};

pub(super) const WORDS: Words = Words {
    title,
    because: "：",
    workspace: "工作空间",
    subject: "对象",
    time: "时间",
    reason: "原因",
    details: "详情",
    ran: "运行时长",
    exit: "退出情况",
    exit_code: "退出码",
    container: "容器",
    pod: "容器组",
    node: "节点",
    restarts: "重启次数",
    labels: "标签",
    template_failed: "自定义模板出错",
    test: "连通性测试：PAI 事件通知的消息将发送到这里",
    open: "查看",
    digest: "工作空间 {workspace} 有 {count} 条事件",
    more: "……另有 {} 条",
    duration,
};

const fn title(source: Source, transition: Transition, deadline: bool) -> &'static str {
    match source {
        Source::DLCJob => job(transition, deadline),
        Source::FlowTask => task(transition),
        Source::DSWInstance => instance(transition),
        Source::Model => model(transition),
    }
}

const fn job(transition: Transition, deadline: bool) -> &'static str {
    match transition {
        Transition::Queued => "训练任务 {} 已进入队列",
        Transition::BiddingStarted => "训练任务 {} 正在等待竞价资源",
        Transition::Creating => "训练任务 {} 正在准备环境",
        Transition::Running => "训练任务 {} 开始运行",
        Transition::FaultTolerance => "训练任务 {} 触发自动容错，继续运行",
        Transition::Preempted => "训练任务 {} 被抢占",
        Transition::Succeeded => "训练任务 {} 运行成功",
        Transition::Failed if deadline => "训练任务 {} 失败：超过运行时限",
        Transition::Failed => "训练任务 {} 失败",
        Transition::Stopping => "训练任务 {} 正在停止",
        Transition::Stopped => "训练任务 {} 已被停止",
        Transition::ImageSaving | Transition::ImageSaved | Transition::ImageSaveFailed => instance(transition),
        Transition::Approved | Transition::StatusChanged => model(transition),
    }
}

const fn task(transition: Transition) -> &'static str {
    match transition {
        Transition::Succeeded => "工作流任务 {} 运行成功",
        Transition::Failed => "工作流任务 {} 失败",
        Transition::Stopped => "工作流任务 {} 已被停止",
        _ => "工作流任务 {} 状态变化",
    }
}

const fn instance(transition: Transition) -> &'static str {
    match transition {
        Transition::Creating => "交互式建模实例 {} 创建中",
        Transition::Running => "交互式建模实例 {} 运行中",
        Transition::Failed => "交互式建模实例 {} 失败",
        Transition::Stopping => "交互式建模实例 {} 停止中",
        Transition::Stopped => "交互式建模实例 {} 已停止",
        Transition::ImageSaving => "交互式建模实例 {} 正在保存镜像",
        Transition::ImageSaved => "交互式建模实例 {} 镜像保存成功",
        Transition::ImageSaveFailed => "交互式建模实例 {} 镜像保存失败",
        _ => "交互式建模实例 {} 状态变化",
    }
}

const fn model(transition: Transition) -> &'static str {
    match transition {
        Transition::Approved => "模型版本 {} 已批准部署",
        _ => "模型版本 {} 状态变化",
    }
}

fn duration(duration: SignedDuration) -> String {
    match split(duration) {
        (0, 0, seconds) => format!("{seconds} 秒"),
        (0, minutes, seconds) => format!("{minutes} 分 {seconds} 秒"),
        (hours, minutes, _) => format!("{hours} 小时 {minutes} 分"),
    }
}
